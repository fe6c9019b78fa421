"""Databases of a sandbox on a throw-away PostgreSQL server."""

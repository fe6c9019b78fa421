"""Queries that SQLMesh answers, in a separate process."""

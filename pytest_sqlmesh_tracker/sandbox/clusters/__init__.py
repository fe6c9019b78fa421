"""A throw-away PostgreSQL cluster for sandboxes: its programs, its process and its databases."""

"""How people read reports."""

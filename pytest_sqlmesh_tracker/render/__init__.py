"""Reports in forms for people to read."""

"""Whether tracking works with the installed SQLMesh."""

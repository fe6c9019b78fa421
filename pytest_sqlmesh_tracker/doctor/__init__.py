"""Whether tracking works with the SQLMesh that is installed."""

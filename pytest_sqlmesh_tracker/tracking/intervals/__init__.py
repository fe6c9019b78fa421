"""Which intervals are loaded, and which SQLMesh would find missing."""

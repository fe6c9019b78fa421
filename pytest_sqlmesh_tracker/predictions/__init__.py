"""What would happen if an environment were run now. Does not import SQLMesh."""

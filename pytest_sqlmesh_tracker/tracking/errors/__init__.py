"""SQLMesh's exceptions in words, without secrets."""

"""SQLMesh projects: opened as its command line opens them, and described."""

"""Questions to SQLMesh, asked in a process of their own."""

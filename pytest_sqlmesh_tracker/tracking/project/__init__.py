"""Opens SQLMesh projects as SQLMesh's command line does, and describes them."""

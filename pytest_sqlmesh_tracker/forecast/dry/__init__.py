"""Plans that are applied to a copy of SQLMesh's state, without evaluating anything."""

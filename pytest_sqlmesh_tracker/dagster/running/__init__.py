"""SQLMesh in a step of Dagster."""

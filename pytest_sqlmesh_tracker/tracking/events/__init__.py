"""What SQLMesh does in an invocation, recorded as plain data."""

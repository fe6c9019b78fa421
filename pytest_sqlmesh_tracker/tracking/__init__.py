"""Listening to SQLMesh: from the console's calls to reports."""

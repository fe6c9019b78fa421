"""Tracks SQLMesh invocations, from calls of the console to reports."""

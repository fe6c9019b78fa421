"""Exceptions of SQLMesh in words, without what is secret."""

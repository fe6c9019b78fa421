"""Isolated, planned copies of SQLMesh projects: template, clock, faults, databases."""

"""Isolated, planned copies of SQLMesh projects: templates, clock, faults and databases."""

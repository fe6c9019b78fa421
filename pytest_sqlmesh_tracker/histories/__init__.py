"""Histories of a project, and whether the rows of its models depend on them."""

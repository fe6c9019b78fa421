"""A project's assets, checks and their names."""

"""The names of the files from which SQLMesh reads a project's configuration."""

CONFIG_FILES = ("config.yaml", "config.yml", "config.py", "sqlmesh.yaml", "sqlmesh.yml")

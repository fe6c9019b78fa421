"""The names of the files in which SQLMesh looks for a project's configuration."""

CONFIG_FILES = ("config.yaml", "config.yml", "config.py", "sqlmesh.yaml", "sqlmesh.yml")

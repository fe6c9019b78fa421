"""The files from which SQLMesh reads a project's configuration."""

from __future__ import annotations

from pathlib import Path

from pytest_sqlmesh_tracker.suggestions import either

CONFIG_FILES = ("config.yaml", "config.yml", "config.py", "sqlmesh.yaml", "sqlmesh.yml")


def no_project_in(folder: Path) -> str:
    """Why the folder does not contain a SQLMesh project; empty if it does."""
    if not folder.is_dir():
        return f"no SQLMesh project in {folder}: the folder does not exist"
    if not any((folder / name).is_file() for name in CONFIG_FILES):
        return f"no SQLMesh project in {folder}: it contains no {either(CONFIG_FILES)}"
    return ""

"""The SQLMesh project nearest to a test."""

from __future__ import annotations

from pathlib import Path

from pytest_sqlmesh_tracker.models.config_files import CONFIG_FILES
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

_SQLMESH_WORDS = ("model_defaults", "gateways", "gateway:", "sqlmesh", "default_gateway")


def nearest_project(
    test: Path, root: Path, way: str = "in the marker sqlmesh_project(path)"
) -> str:
    """The first folder with a SQLMesh configuration, from the test's folder upwards.

    The folders up to the root come first, then those above it, since the root can be below the
    project, as with `pytest tests`.

    Args:
        way: how the caller can pass a project instead, for messages.

    Raises:
        SandboxError: no folder contains a SQLMesh configuration.
    """
    inside = [folder for folder in test.parents if folder == root or root in folder.parents]
    for folder in (*inside, root, *root.parents):
        if any(_is_sqlmesh(folder / name) for name in CONFIG_FILES):
            return str(folder)
    raise SandboxError(
        f"no SQLMesh project found in {test.parent} or above it; pass one {way}, "
        "or set the ini option sqlmesh_tracker_project"
    )


def _is_sqlmesh(file: Path) -> bool:
    """Whether a configuration file is SQLMesh's: other tools also use a `config.py`."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(word in text for word in _SQLMESH_WORDS)

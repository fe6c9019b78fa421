"""What a process has imported from the folders of SQLMesh projects."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

CONFIG_FILES = ("config.yaml", "config.yml", "config.py", "sqlmesh.yaml", "sqlmesh.yml")
"""Where SQLMesh looks for a project's configuration."""


def modules_in(folders: Iterable[Path]) -> dict[str, ModuleType]:
    """The imported modules that are below these folders, by name."""
    starts = tuple(f"{folder}{os.sep}" for folder in folders)
    return {
        name: module
        for name, module in list(sys.modules.items())
        if (place := _place(module)).startswith(starts) and not _is_installed(place)
    }


def _is_installed(place: str) -> bool:
    """Whether it is of a virtual environment, which can be below a project."""
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(place).parts)


def _place(module: Any) -> str:
    """The file of a module, or the folder of one that is several files."""
    known = getattr(module, "__dict__", {})
    if known.get("__file__"):
        return str(known["__file__"])
    try:
        return str(next(iter(known.get("__path__") or ()), ""))
    except KeyError:
        # A namespace package finds its path through its parent, which was taken out.
        return ""

"""What belongs to Python or to an installed package."""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return path.startswith(_folders()) or f"{os.sep}site-packages{os.sep}" in path


@cache
def _folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {Path(sysconfig.get_path(name)) for name in names}
    return tuple(f"{each}{os.sep}" for folder in folders for each in {folder, folder.resolve()})

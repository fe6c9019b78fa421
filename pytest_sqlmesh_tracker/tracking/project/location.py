"""Where a SQLMesh project is and how to open it, in terms of SQLMesh's command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ProjectLocation:
    """The folders of a project, and the other options of SQLMesh's command line to open it."""

    paths: Sequence[str]
    gateway: str | None = None
    config: str | None = None
    """The name of a configuration in `config.py`."""
    dotenv: str | None = None
    """A file to use instead of `.env` in the folders."""
    folder: str | None = None
    """The folder that relative paths refer to; None for the current one."""

    @property
    def names(self) -> str:
        """The folders, for messages."""
        return ", ".join(self.paths)

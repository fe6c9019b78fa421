"""Links from a page to the files of models."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class ModelFiles:
    """Where a page and the files of its models are."""

    page: Path
    """The file of the page."""
    project: Path
    """The folder of the project: files of models in reports are relative to it."""

    def address(self, file: str | None) -> str | None:
        """The address of a model's file, relative to the page; None if the project does not have
        the file."""
        if file is None:
            return None
        project = os.path.normpath(self.project.absolute())
        path = Path(os.path.normpath(Path(project) / file))
        try:
            if not path.is_relative_to(project) or not path.is_file():
                return None
            relative = os.path.relpath(path, self.page.absolute().parent)
        except (OSError, ValueError):
            # Not a path: too long, or with a null character. Or the file is on another drive.
            return None
        return quote(relative.replace(os.sep, "/"), errors="surrogateescape")

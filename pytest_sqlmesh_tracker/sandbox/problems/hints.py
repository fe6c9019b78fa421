"""What users need to know about a failure beyond its error: where something is or came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import escape, iglob
from itertools import islice
from pathlib import Path

from .database_objects import Inherited

# DuckDB's exceptions have no attributes, and a report keeps only the text of errors.
_NO_FILE = (
    # DuckDB: read_csv, read_parquet, read_json, COPY … FROM.
    re.compile(r'No files found that match the pattern "([^"\n]+)"'),
    re.compile(r'Cannot open file "([^"\n]+)": No such file'),
    # Python.
    re.compile(r"No such file or directory: '([^'\n]+)'"),
)
_EXISTS = re.compile(
    r'\b(?:with name|Existing object) "?([^"!\n]+?)"? (?:already exists|is of type)', re.IGNORECASE
)
_EXISTS_LOUDLY = re.compile(r'\bwith name "?([^"!\n]+?)"? already exists', re.IGNORECASE)
_OTHER_COLUMNS = re.compile(r"\btable \"?([^\"\s]+)\"? has \d+ columns? but", re.IGNORECASE)
_NOT_CHANGED = re.compile(
    # DuckDB, on statements that would change a view.
    r"is not an? table\b|\bbase table\b|\bis of type View\b|\bALTER VIEW\b|View with name"
    # PostgreSQL.
    r"|row-level security"
)
_NOT_SEARCHED = {"node_modules", "__pycache__", "site-packages", "venv"}
_MOST_ENTRIES = 20_000
"""The maximum number of files and folders that are searched for a missing file."""


@dataclass(frozen=True)
class Hints:
    """What is known about a project's surroundings.

    Attributes:
        projects: the folders of the user's project.
        inherited: the objects that the user's databases brought into the sandbox.
        arriving: the names of tables in which rows arrive over time.
    """

    projects: tuple[Path, ...]
    inherited: tuple[Inherited, ...] = ()
    arriving: tuple[str, ...] = ()

    def of(self, error: str) -> list[str]:
        """Paragraphs that help to understand an error; each states only what is certain."""
        return [*self._files(error), *self._existing(error), *self._changed(error)]

    def _files(self, error: str) -> Iterator[str]:
        here = Path.cwd()
        for path in dict.fromkeys(each for p in _NO_FILE for each in p.findall(error)):
            if Path(path).is_absolute() or _matches(here, path):
                continue
            folder = self._folder_with(path)
            if folder is not None:
                yield (
                    f"{path} exists below {folder}, but relative paths start from the working "
                    f"directory, {here}.\nUse an absolute path, or run the tests in that folder: "
                    f'monkeypatch.chdir("{folder}") in a fixture with autouse=True.'
                )

    def _folder_with(self, path: str) -> Path | None:
        """The folder from which a relative path leads to a file: the project's, else the nearest
        folder above it, else one below it."""
        for project in self.projects:
            for folder in (project, *islice(project.parents, 2)):
                if folder != folder.parent and _matches(folder, path):
                    return folder
        return next((f for p in self.projects for f in _folders(p) if _matches(f, path)), None)

    def _existing(self, error: str) -> Iterator[str]:
        exists = {*_EXISTS.findall(error), *_EXISTS_LOUDLY.findall(error)}
        for name in exists:
            for each in self._inherited(name):
                yield (
                    f"{each.name} already exists: it comes from {each.file}, which the sandbox "
                    'copies.\nstate="empty" starts without that file.'
                )
        for name in set(_OTHER_COLUMNS.findall(error)):
            for each in self._inherited(name):
                yield (
                    f"{each.name} has the same columns as in {each.file}, which the sandbox "
                    'copies.\nstate="empty" starts without that file.'
                )

    def _changed(self, error: str) -> Iterator[str]:
        if self.arriving and _NOT_CHANGED.search(error):
            names = ", ".join(self.arriving)
            yield (
                f"Rows arrive over time in {names} (arrivals=). Create the table and its first "
                "rows with setup=, and add rows with insert()."
            )

    def _inherited(self, name: str) -> list[Inherited]:
        """The inherited objects with this name, with or without its schema."""
        lowered = name.replace('"', "").lower()
        return [
            each
            for each in self.inherited
            if lowered in (each.name.lower(), each.name.rpartition(".")[2].lower())
        ][:1]


def _matches(folder: Path, path: str) -> bool:
    """Whether a path, which can be a pattern, leads from the folder to an existing file."""
    # `Path.glob` would raise for what is not a pattern.
    patterns = escape(path), path
    return any(any(iglob(each, root_dir=folder, recursive=True)) for each in patterns)  # noqa: PTH207


def _folders(project: Path) -> Iterator[Path]:
    """The folders below a project, the nearest first."""
    waiting, visited = [project], 0
    while waiting and visited < _MOST_ENTRIES:
        folder = waiting.pop(0)
        entries: Iterable[Path] = []
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            visited += 1
            hidden = entry.name.startswith(".") or entry.name in _NOT_SEARCHED
            if not hidden and entry.is_dir() and not entry.is_symlink():
                waiting.append(entry)
                yield entry

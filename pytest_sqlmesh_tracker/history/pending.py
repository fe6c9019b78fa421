"""Reports that could not be appended in time, in JSON files beside the history.

Each is a report file. The next process that appends to the history takes it in, and removes it
after its commit; until then, all who read the history read it as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from uuid import uuid4

from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json, entries_to_json

from .opening import sync_folder

Source = Literal["cli", "pytest", "dagster", "python", "import"]
"""Who has appended a report."""


@dataclass(frozen=True)
class PendingFile:
    """A file of reports that are not in the database yet."""

    path: Path
    source: Source
    entries: Sequence[Entry]


def write(history: Path, entries: Sequence[Entry], source: Source) -> None:
    """Write reports beside a history, so that they are there whole, or not at all.

    Raises:
        OSError: the file can't be written.
    """
    path = history.with_name(f"{history.name}.pending-{source}-{uuid4().hex}.json")
    unfinished = path.with_name(f".{path.name}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(entries_to_json(entries))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(path.parent)


def read(history: Path) -> list[PendingFile]:
    """The pending files of a history.

    It must be called before the database is read: a file that is gone by then is in the database.

    Raises:
        OSError: a file can't be read.
        ValueError: a newer version has written one; the message is one line.
    """
    name = re.compile(
        re.escape(history.name) + rf"\.pending-({'|'.join(get_args(Source))})-[0-9a-f]{{32}}\.json"
    )
    files: list[tuple[int, PendingFile]] = []
    for path in history.parent.iterdir():
        match = name.fullmatch(path.name)
        # Meanwhile, another process may have taken it in.
        with suppress(FileNotFoundError):
            if match:
                written_at, text = path.stat().st_mtime_ns, path.read_bytes()
                source = cast(Source, match[1])
                files.append((written_at, PendingFile(path, source, _entries(path, text))))
    return [file for _, file in sorted(files, key=lambda each: (each[0], each[1].path.name))]


def _entries(path: Path, text: bytes) -> list[Entry]:
    try:
        return entries_from_json(text)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None

"""Report files, whose format depends on the suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.suggestions import either

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.gate import GateResult
    from pytest_sqlmesh_tracker.reports.files import Entry


def _json(reports: Sequence[Entry], _: GateResult | None) -> str:
    from pytest_sqlmesh_tracker.reports.files import entries_to_json

    return entries_to_json(reports)


def _markdown(reports: Sequence[Entry], result: GateResult | None) -> str:
    from .markdown import summary

    return summary(reports, result)


def _html(reports: Sequence[Entry], result: GateResult | None) -> str:
    from pytest_sqlmesh_tracker.render.page.html import page

    return page(reports, result)


def _junit(reports: Sequence[Entry], result: GateResult | None) -> str:
    from .junit_file import suites

    return suites(reports, result)


_RENDERERS: dict[str, Callable[[Sequence[Entry], GateResult | None], str]] = {
    ".json": _json,
    ".md": _markdown,
    ".html": _html,
    ".xml": _junit,
}
"""The suffixes that a report file can have, in lower case. Only JSON can be read back, so
`dump_reports` rejects the others (`reports/files.py`)."""
_REMARKS = {".xml": " (JUnit)"}

SUFFIXES = tuple(_RENDERERS)
SUFFIXES_IN_WORDS = either([suffix + _REMARKS.get(suffix, "") for suffix in SUFFIXES])
"""The suffixes, for help texts."""


def checked_path(path: str | os.PathLike[str], suffixes: Sequence[str] = SUFFIXES) -> Path:
    """The path, if it is valid for a report file. Whether it can be written is not checked.

    Args:
        suffixes: the valid ones, in lower case.

    Raises:
        ValueError: the path has another suffix, or is a folder; the message is one line.
    """
    checked = Path(path)
    if checked.suffix.lower() not in suffixes:
        valid = either(suffixes)
        raise ValueError(f"{str(path)!r} has no known format: its name must end in {valid}")
    if checked.is_dir():
        raise ValueError(f"{str(path)!r} is a folder")
    return checked


def write(
    path: str | os.PathLike[str],
    reports: Sequence[Entry],
    result: GateResult | None = None,
) -> None:
    """Write reports, each with the node id of its test or None, in the format of the path's suffix.

    Missing folders are created. The file has either its old content or all of the new content.

    Args:
        result: the gate's result for these reports; JSON files do not contain it.

    Raises:
        ValueError: the path has another suffix, or is a folder.
        OSError: the file can't be written.
    """
    from pytest_sqlmesh_tracker.reports.files import write_whole

    write_whole(path, _RENDERERS[checked_path(path).suffix.lower()](reports, result))

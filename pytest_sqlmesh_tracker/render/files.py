"""Report files, whose format depends on the suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.suggestions import either

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.gate import GateResult
    from pytest_sqlmesh_tracker.history.pending import Source
    from pytest_sqlmesh_tracker.render.page.model_files import ModelFiles
    from pytest_sqlmesh_tracker.reports.files import Entry


def _json(reports: Sequence[Entry], _: GateResult | None, __: ModelFiles) -> str:
    from pytest_sqlmesh_tracker.reports.files import entries_to_json

    return entries_to_json(reports)


def _markdown(reports: Sequence[Entry], result: GateResult | None, _: ModelFiles) -> str:
    from .markdown import summary

    return summary(reports, result)


def _html(reports: Sequence[Entry], result: GateResult | None, files: ModelFiles) -> str:
    from pytest_sqlmesh_tracker.render.page.html import page

    return page(reports, result, files)


def _junit(reports: Sequence[Entry], result: GateResult | None, _: ModelFiles) -> str:
    from .junit_file import suites

    return suites(reports, result)


_RENDERERS: dict[str, Callable[[Sequence[Entry], GateResult | None, ModelFiles], str]] = {
    ".json": _json,
    ".md": _markdown,
    ".html": _html,
    ".xml": _junit,
}
"""The suffixes of the files that are rewritten, in lower case. Of these, only JSON can be read
back, so `dump_reports` rejects the others (`history/report_files.py`)."""
_HISTORY = ".duckdb"
_REMARKS = {".xml": " (JUnit)", _HISTORY: " (a history, which is appended to)"}

SUFFIXES = (*_RENDERERS, _HISTORY)
"""The suffixes that a report file can have, in lower case."""
SUFFIXES_IN_WORDS = either([suffix + _REMARKS.get(suffix, "") for suffix in SUFFIXES])
"""The suffixes, for help texts."""


def checked_path(path: str | os.PathLike[str], suffixes: Sequence[str] = SUFFIXES) -> Path:
    """The path, if it is valid for a report file. Whether it can be written is not checked.

    Args:
        suffixes: the valid ones, in lower case.

    Raises:
        ValueError: the path has another suffix, or is a folder, or is a DuckDB file that is not a
            history; the message is one line.
        OSError: a DuckDB file can't be read.
    """
    checked = Path(path)
    if checked.suffix.lower() not in suffixes:
        valid = either(suffixes)
        raise ValueError(f"{str(path)!r} has no known format: its name must end in {valid}")
    if checked.is_dir():
        raise ValueError(f"{str(path)!r} is a folder")
    if checked.suffix.lower() == _HISTORY:
        from pytest_sqlmesh_tracker.history.opening import check

        try:
            check(checked)
        except ValueError as error:
            raise ValueError(f"{str(path)!r}: {error}") from None
    return checked


def write(
    path: str | os.PathLike[str],
    reports: Sequence[Entry],
    result: GateResult | None = None,
    *,
    source: Source,
    project: Path | None = None,
) -> None:
    """Write reports, each with the node id of its test or None, in the format of the path's suffix.

    Missing folders are created. The file has either its old content or all of the new content. To a
    history, the reports are appended.

    Args:
        result: the gate's result for these reports; JSON files and histories do not contain it.
        source: who writes the reports; a history keeps it.
        project: the folder of the project, to whose files pages have links; the current folder if
            it is None.

    Raises:
        ValueError: the path has another suffix, or is a folder, or is a DuckDB file that is not a
            history.
        OSError: the file can't be written.
    """
    if Path(path).suffix.lower() == _HISTORY:
        from pytest_sqlmesh_tracker.history.appending import append

        append(path, reports, source=source)
        return
    from pytest_sqlmesh_tracker.render.page.model_files import ModelFiles
    from pytest_sqlmesh_tracker.reports.files import write_whole

    render = _RENDERERS[checked_path(path).suffix.lower()]
    write_whole(path, render(reports, result, ModelFiles(Path(path), project or Path())))

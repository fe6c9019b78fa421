"""Report files by their paths: in JSON, or a history in DuckDB."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pytest_sqlmesh_tracker.reports.files import (
    Entry,
    ReportLike,
    entries_from_json,
    entries_to_json,
    entry,
    write_whole,
)
from pytest_sqlmesh_tracker.reports.report import RunReport

SUFFIX = ".duckdb"
"""The suffix of a history, in lower case."""
_OTHER_FORMS = (".md", ".html", ".xml")


def is_history(path: str | os.PathLike[str]) -> bool:
    """Whether the path is that of a history, by its suffix."""
    return Path(path).suffix.lower() == SUFFIX


def load_reports(path: str | os.PathLike[str]) -> list[RunReport | tuple[str, RunReport]]:
    """Read a report file that `dump_reports`, a command or a session of pytest has written.

    Each entry is returned as it was dumped: a report, or, if a test made the invocation, a pair of
    the test's node id and the report. `GatePolicy.evaluate` takes both. The function also reads a
    file that holds a single report, and files of schema version 1. If the name ends in `.duckdb`,
    the file is a history in DuckDB, and all of its reports are returned.

    Raises:
        OSError: the file can't be read, or other processes have been appending to the history for
            10 seconds.
        ValueError: the file does not hold reports, or a newer version has written it. The message
            says in one line which file, where and why.
    """
    try:
        entries = _read(path)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return [report if test is None else (test, report) for test, report in entries]


def _read(path: str | os.PathLike[str]) -> list[Entry]:
    if is_history(path):
        from .reading import all_entries

        return all_entries(path)
    return entries_from_json(Path(path).read_bytes())


def dump_reports(path: str | os.PathLike[str], reports: Iterable[ReportLike]) -> None:
    """Write a report file, from which `load_reports` reads the same reports in the same order.

    Missing folders are created. A JSON file has either its old content or all of the new content.
    To a history in DuckDB, a file whose name ends in `.duckdb`, reports are appended, except those
    that it has already: the same invocation, of the same test. If other processes have it open for
    10 seconds, the reports are written beside it, and are part of it all the same.

    Args:
        path: the file to write; it is JSON, whatever its suffix, unless that is `.duckdb`.
        reports: each a `RunReport`, or a pair of a test's node id (or None) and the report.

    Raises:
        OSError: the file can't be written.
        TypeError: an entry is not a report.
        ValueError: the name ends in `.md`, `.html` or `.xml`; these forms can't be read back. Or it
            ends in `.duckdb`, and the file is a database with other tables.
    """
    entries = [entry(one, "dump_reports") for one in reports]
    if is_history(path):
        from .appending import append

        try:
            append(path, entries, source="python")
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None
        return
    text = entries_to_json(entries)
    if Path(path).suffix.lower() in _OTHER_FORMS:
        raise ValueError(
            f"{os.fspath(path)}: dump_reports writes JSON; for other formats, use "
            "sqlmesh-tracker show FILE --report PATH"
        )
    write_whole(path, text)

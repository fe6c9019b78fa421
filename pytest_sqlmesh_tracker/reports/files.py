"""Report files in JSON, written atomically and read back. Does not import SQLMesh."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .report import SCHEMA_VERSION, RunReport, dumped, json_type, parsed, version_of

ReportLike = RunReport | tuple[str | None, RunReport]
"""A report, alone or as a pair like an entry."""
_OTHER_FORMS = (".md", ".html", ".xml")


class Entry(NamedTuple):
    """A report in a report file."""

    test: str | None
    """The node id of the test that made the invocation, if known."""
    report: RunReport


def load_reports(path: str | os.PathLike[str]) -> list[RunReport | tuple[str, RunReport]]:
    """Read a report file that `dump_reports`, a command or a session of pytest has written.

    Each entry is returned as it was dumped: a report, or, if a test made the invocation, a pair of
    the test's node id and the report. `GatePolicy.evaluate` takes both. The function also reads a
    file that holds a single report, and files of schema version 1.

    Raises:
        OSError: the file can't be read.
        ValueError: the file does not hold reports, or a newer version has written it. The message
            says in one line which file, where and why.
    """
    try:
        entries = entries_from_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return [report if test is None else (test, report) for test, report in entries]


def dump_reports(path: str | os.PathLike[str], reports: Iterable[ReportLike]) -> None:
    """Write a report file, from which `load_reports` reads the same reports in the same order.

    Missing folders are created. The file has either its old content or all of the new content.

    Args:
        path: the file to write; it is JSON, whatever its suffix.
        reports: each a `RunReport`, or a pair of a test's node id (or None) and the report.

    Raises:
        OSError: the file can't be written.
        TypeError: an entry is not a report.
        ValueError: the name ends in `.md`, `.html` or `.xml`; these forms can't be read back.
    """
    text = entries_to_json(entry(one, "dump_reports") for one in reports)
    if Path(path).suffix.lower() in _OTHER_FORMS:
        raise ValueError(
            f"{os.fspath(path)}: dump_reports writes JSON; for other formats, use "
            "sqlmesh-tracker show FILE --report PATH"
        )
    write_whole(path, text)


def entry(item: object, function: str) -> Entry:
    """A report, or a pair of a node id and a report, as an entry.

    Args:
        function: the function that takes reports, for the message.

    Raises:
        TypeError: the item is neither.
    """
    test, report = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
    if not isinstance(report, RunReport):
        raise TypeError(f"{function} takes RunReports, not {type(report).__name__}")
    return Entry(test, report)


def entries_to_json(entries: Iterable[Entry]) -> str:
    """The text of a report file."""
    listed = [{"test": test, **report.to_dict()} for test, report in entries]
    return dumped({"schema_version": SCHEMA_VERSION, "reports": listed}, indent=2) + "\n"


def entries_from_json(text: str | bytes) -> list[Entry]:
    """The reports in the text of a report file, or a bare report as `to_json` makes it.

    Raises:
        ValueError: the text is neither; the message says in one line where and why.
    """
    data = parsed(text)
    if not isinstance(data, dict) or "reports" not in data:
        return [Entry(None, RunReport.from_parsed(data))]
    version_of(data)
    if not isinstance(data["reports"], list):
        raise ValueError("not a report file: 'reports' must be a list")
    return [_read(number, one) for number, one in enumerate(data["reports"], start=1)]


def _read(number: int, data: object) -> Entry:
    if not isinstance(data, dict):
        raise ValueError(f"report {number}: expected an object, found {json_type(data)}")
    test = data.get("test")
    if not (test is None or isinstance(test, str)):
        raise ValueError(f"report {number}: 'test' must be a node ID or null")
    try:
        report = RunReport.from_parsed({k: v for k, v in data.items() if k != "test"})
    except ValueError as error:
        raise ValueError(f"report {number}: {error}") from None
    return Entry(test, report)


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically, and create missing folders.

    Raises:
        OSError: the file can't be written; the error's file name is the path.
    """
    # Follow a link, or the link itself would be replaced.
    target = Path(path).resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Surrogates, such as those of an undecodable file name in an error, are escaped.
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        unfinished.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def file_schema() -> dict[str, Any]:
    """The JSON Schema of a report file; `report.schema.json` in the package holds it."""
    entry = RunReport.model_json_schema(mode="serialization")
    definitions = entry.pop("$defs")
    entry["properties"] = {
        "test": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "Node id of the test that made the invocation.",
        },
        **entry["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report file of pytest-sqlmesh-tracker",
        "type": "object",
        "required": ["schema_version", "reports"],
        "properties": {
            "schema_version": {"const": SCHEMA_VERSION},
            "reports": {"type": "array", "items": entry},
        },
        "$defs": definitions,
    }

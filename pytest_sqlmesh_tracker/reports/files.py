"""Report files in JSON, as text, and writing files atomically. Does not import SQLMesh."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .report import SCHEMA_VERSION, RunReport, dumped, json_type, parsed, version_of

ReportLike = RunReport | tuple[str | None, RunReport]
"""A report, alone or as a pair like an entry."""


class Entry(NamedTuple):
    """A report in a report file."""

    test: str | None
    """The node id of the test that made the invocation, if known."""
    report: RunReport


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

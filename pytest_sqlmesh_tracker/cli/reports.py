"""The input of commands: report files and policies, with errors of one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click

from pytest_sqlmesh_tracker.gate import GatePolicy, GatePolicyError
from pytest_sqlmesh_tracker.history.report_files import is_history
from pytest_sqlmesh_tracker.outcomes.moments import parse_moment
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json

Entries = list[Entry]
"""The content of a report file: reports, each with the node id of its test or None."""


def since_of(since: str | None, *inputs: str) -> datetime | None:
    """The time from which on all reports of histories are read; None without the option.

    Raises:
        UsageError: it is not a time, or no input is a history.
    """
    if since is None:
        return None
    try:
        moment = parse_moment(since)
    except ValueError as error:
        raise click.UsageError(f"--since: {error}") from None
    if not any(map(is_history, inputs)):
        raise click.UsageError("--since applies to histories only, files ending in .duckdb")
    return moment


def read(*sets: Sequence[str], since: datetime | None = None) -> list[Entries]:
    """The reports of each set of files, folders (their `.json` files) and standard input (`-`).

    Args:
        sets: the inputs.
        since: of a history, read all invocations that began at this time or later. By default, the
            latest of each environment is read.

    Raises:
        ClickException: files can't be read or hold no reports; the message has a line for each.
    """
    wrong: list[str] = []
    entries = [[*_entries(inputs, since, wrong)] for inputs in sets]
    if wrong:
        raise click.ClickException("\n".join(wrong))
    return entries


def _entries(inputs: Sequence[str], since: datetime | None, wrong: list[str]) -> Iterator[Entry]:
    for name in inputs:
        path: str | Path = name
        try:
            for path in _files(name):
                yield from _read(path, since)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            wrong.append(f"{path}: {reason or error}")


def _read(path: Path, since: datetime | None) -> list[Entry]:
    if not is_history(path):
        return entries_from_json(_text(path))
    from pytest_sqlmesh_tracker.history import reading

    return reading.latest_entries(path) if since is None else reading.entries_since(path, since)


def _text(path: Path) -> bytes:
    if str(path) != "-":
        return path.read_bytes()
    if sys.stdin is None:
        raise ValueError("no standard input")
    return sys.stdin.buffer.read()


def policy_of(path: str | None, start: str) -> GatePolicy:
    """The policy in the file, or without one the nearest from a folder upward.

    Raises:
        ClickException: the policy can't be read, or is not valid.
    """
    try:
        return GatePolicy.nearest(start) if path is None else GatePolicy.from_file(path)
    except GatePolicyError as error:
        raise click.ClickException(str(error)) from None


def _files(name: str) -> list[Path]:
    path = Path(name)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json")
    if not files:
        raise ValueError("no .json files in this folder")
    return files

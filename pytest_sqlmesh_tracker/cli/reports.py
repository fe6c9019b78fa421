"""What the commands are given: report files and policies; what is wrong with them, in a line."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..gate import GatePolicy
from ..policy import GatePolicyError
from ..report import RunReport, load_reports

Entries = list[tuple[str | None, RunReport]]
"""Reports, each with the node id of its test or None: what a report file holds."""


def read(*sets: Sequence[str]) -> list[Entries]:
    """The reports of each set of files, folders (their `.json` files) and standard input (`-`).

    Raises:
        ClickException: files can't be read or hold no reports; a line each.
    """
    wrong: list[str] = []
    with _without_collection():
        read = [[*_entries(inputs, wrong)] for inputs in sets]
    if wrong:
        raise click.ClickException("\n".join(wrong))
    return read


def _entries(inputs: Sequence[str], wrong: list[str]) -> Iterator[tuple[str | None, RunReport]]:
    for path in (path for name in inputs for path in _files(name)):
        try:
            text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
            yield from load_reports(text)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            wrong.append(f"{path}: {said or error}")


def policy_of(given: str | None, start: str) -> GatePolicy:
    """The policy in the file that was given, or else the nearest from a folder upward.

    Raises:
        ClickException: it can't be read, or can't be meant.
    """
    try:
        return GatePolicy.nearest(start) if given is None else GatePolicy.from_file(given)
    except GatePolicyError as error:
        raise click.ClickException(str(error)) from None


def _files(name: str) -> list[Path]:
    path = Path(name)
    return sorted(path.glob("*.json")) if path.is_dir() else [path]


@contextmanager
def _without_collection() -> Iterator[None]:
    """A hundred large reports are a million objects, none of which is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

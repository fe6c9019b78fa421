"""Rows that a test passes, and their way into a database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column, SystemTables
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.wording.formats import short_repr

from .values import MisfitError, encoded, type_of

Record = Mapping[str, object]


class MisfitRowError(Exception):
    """A value in the rows does not fit its column; the message says where it is, and why not."""

    def __init__(self, column: Column, words: str) -> None:
        super().__init__(words)
        self.column = column


def records(rows: Any, caller: str) -> list[Record]:
    """The rows as mappings of columns to values.

    Args:
        rows: an iterable of mappings, or a DataFrame, whose missing values are NULL.
        caller: the method that was called, for messages.

    Raises:
        SandboxError: the rows are anything else.
    """
    __tracebackhide__ = True
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    if isinstance(rows, str | bytes | Mapping):
        raise SandboxError(f"{caller}(): rows must be a list of mappings, not {short_repr(rows)}")
    try:
        listed = list(rows)
    except TypeError:
        raise SandboxError(
            f"{caller}(): rows must be a list of mappings, not {short_repr(rows)}"
        ) from None
    for position, row in enumerate(listed):
        if not (isinstance(row, Mapping) and all(isinstance(name, str) for name in row)):
            raise SandboxError(
                f"{caller}(): each row must map names of columns to values, as in {{'id': 1}}; "
                f"rows[{position}] is {short_repr(row)}"
            )
    return listed


def matched(
    names: Iterable[str], columns: Sequence[Column], system: SystemTables, *, caller: str, name: str
) -> dict[str, Column]:
    """The column that each of the names means.

    Args:
        caller: the method that was called, for messages.
        name: what has the columns, for messages.

    Raises:
        SandboxError: a column does not exist; the message has close matches; or two names mean
            the same column.
    """
    __tracebackhide__ = True
    folded = {system.folded(each.name): each for each in columns}
    known = [each.name for each in columns]
    names = list(names)
    for each in names:
        if system.folded(each) not in folded:
            hint = did_you_mean(each, known, f"it has {', '.join(known)}")
            raise SandboxError(f"{caller}(): {name} has no column {each!r}; {hint}")
    spelled: dict[str, str] = {}
    for each in names:
        other = spelled.setdefault(system.folded(each), each)
        if other != each:
            raise SandboxError(
                f"{caller}(): {other!r} and {each!r} are the same column of {name}; use one of them"
            )
    return {each: folded[system.folded(each)] for each in names}


def documents(
    rows: Sequence[Record], columns: Mapping[str, Column], dialect: str, argument: str = "rows"
) -> str:
    """The rows as a JSON array that `RowQueries.of_documents` reads.

    Args:
        columns: the column of each name in the rows. A row that lacks it has NULL there.
        argument: the name of the argument with the rows, for messages.

    Raises:
        MisfitRowError: a value does not fit its column.
    """
    types = {name: type_of(column.type, dialect) for name, column in columns.items()}
    made = []
    for position, row in enumerate(rows):
        document = {}
        for place, name in enumerate(columns):
            try:
                document[str(place)] = encoded(row.get(name), types[name])
            except MisfitError as error:
                value = f"{argument}[{position}][{name!r}] = {short_repr(row[name])}"
                raise MisfitRowError(columns[name], f"{value} {error}") from None
        made.append(document)
    return json.dumps(made)

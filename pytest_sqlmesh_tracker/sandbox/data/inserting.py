"""Inserts rows that a test passes into tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .records import MisfitRowError, Record, documents, matched
from .sources import Target


def insert(target: Target, rows: Sequence[Record]) -> None:
    """Insert rows into a table; the columns that a row lacks are NULL.

    Raises:
        SandboxError: a column does not exist, or can't hold a value; a row would never arrive; or
            the database rejects the rows.
    """
    __tracebackhide__ = True
    if not rows:
        return
    adapter = target.adapter
    system = adapter.system
    columns = matched(
        dict.fromkeys(name for row in rows for name in row),
        adapter.rows.columns(adapter, target.table),
        system,
        caller="insert",
        name=target.name,
    )
    _check_arrive(target, rows, columns)
    try:
        array = documents(rows, columns, system.dialect)
    except MisfitRowError as error:
        raise SandboxError(
            f"insert(): {error}; the column {error.column.name} of {target.name} is "
            f"{error.column.type}"
        ) from None
    names = ", ".join(each.sql for each in columns.values())
    try:
        adapter.execute_users(
            f"INSERT INTO {target.table} ({names}) "
            f"{adapter.rows.of_documents(list(columns.values()), array)}"
        )
    except system.errors as error:
        first, *_ = str(error).splitlines()
        raise SandboxError(f"insert(): {target.name} rejects the rows: {first}") from error


def _check_arrive(target: Target, rows: Sequence[Record], columns: Mapping[str, Column]) -> None:
    """Reject rows without the time at which they arrive."""
    __tracebackhide__ = True
    if target.arrival is None:
        return
    name = next((n for n, each in columns.items() if each.name == target.arrival.column), None)
    if name is None and target.arrival.has_default:
        return
    for position, row in enumerate(rows):
        if name is None or row.get(name) is None:
            raise SandboxError(
                f"insert(): rows[{position}] lacks {target.arrival.column}, the time at which it "
                f"arrives in {target.name} (arrivals=), so it would never be there"
            )

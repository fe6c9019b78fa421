"""Fills the tables of stubs: with rows, data frames, files, or the results of queries."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp
from sqlmesh.core.dialect import schema_

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column
from pytest_sqlmesh_tracker.sandbox.options import SandboxError, StubData

from .records import MisfitRowError, Record, documents, matched, records

_QUERY = "sqlmesh_tracker_query"


@dataclass(frozen=True)
class StubTable:
    """The table of a stub.

    Attributes:
        name: the name of the model.
        columns: the columns that the model's query must return.
        adapter: the adapter of the model's database.
    """

    name: str
    table: exp.Table
    columns: Mapping[str, exp.DataType]
    adapter: Any

    @property
    def sql(self) -> str:
        """The table as SQL."""
        return self.table.sql(dialect=self.adapter.dialect, identify=True)


def fill(stub: StubTable, data: StubData) -> None:
    """Let the table contain the data, and nothing else. After an error, it is as it was before.

    Raises:
        SandboxError: the data has other columns, or values that they can't hold; a file can't be
            read; or a query fails.
    """
    __tracebackhide__ = True
    adapter, table = stub.adapter, stub.table
    adapter.create_schema(schema_(table.args["db"], table.args.get("catalog")))
    name = exp.to_identifier(f"{table.name}.new", quoted=True)
    new = replace(stub, table=exp.table_(name, db=table.args["db"], catalog=table.args["catalog"]))
    kinds = {name: adapter.stored_type(kind) for name, kind in stub.columns.items()}
    adapter.drop_table(new.table)
    adapter.create_table(new.table, kinds)
    try:
        _insert_data(new, data)
        columns = adapter.rows.columns(adapter, new.sql)
        exists = adapter.system.is_readable(adapter, table)
        if exists and adapter.rows.columns(adapter, stub.sql) == columns:
            # A view of the model can depend on the table.
            adapter.execute_users(f"DELETE FROM {stub.sql}")
        else:
            adapter.drop_table(table)
            adapter.create_table(table, kinds)
        adapter.execute_users(f"INSERT INTO {stub.sql} SELECT * FROM {new.sql}")
    finally:
        adapter.drop_table(new.table)


def _insert_data(stub: StubTable, data: StubData) -> None:
    __tracebackhide__ = True
    try:
        if isinstance(data.value, str):
            _insert_query(stub, data.value.strip().rstrip(";"))
        elif isinstance(data.value, Path):
            _insert_file(stub, data.value)
        else:
            _insert_rows(stub, records(data.value, "stub"))
    except stub.adapter.system.errors as error:
        first, *_ = str(error).splitlines()
        raise SandboxError(f"stub: {stub.name} rejects the data: {first}") from error


def _insert_query(stub: StubTable, query: str) -> None:
    __tracebackhide__ = True
    adapter = stub.adapter
    with adapter.scratch():
        adapter.execute_users(
            f"CREATE TEMPORARY TABLE {_QUERY} AS SELECT * FROM (\n{query}\n) AS source_rows"
        )
        names = [each.name for each in adapter.rows.columns(adapter, _QUERY)]
    columns = list(_matched(stub, names).values())
    targets = ", ".join(each.sql for each in columns)
    values = ", ".join(
        f"CAST({Column(name, '').sql} AS {each.type}) AS {each.sql}"
        for name, each in zip(names, columns, strict=True)
    )
    adapter.execute_users(
        f"INSERT INTO {stub.sql} ({targets}) SELECT {values} FROM (\n{query}\n) AS source_rows"
    )


def _insert_file(stub: StubTable, file: Path) -> None:
    __tracebackhide__ = True
    if not file.is_file():
        raise SandboxError(f"stub: {stub.name}: {file} does not exist")
    if file.suffix.lower() == ".csv":
        rows = list(_rows_of_csv(stub, file))
        # The database reads the texts as values of the columns' types.
        _insert(stub, rows, json.dumps([_by_position(row) for row in rows]))
    elif file.suffix.lower() == ".json":
        text = file.read_text(encoding="utf-8")
        _insert_rows(stub, records(json.loads(text), "stub"))
    else:
        with duckdb.connect() as connection:
            result = connection.execute("SELECT * FROM read_parquet(?)", [str(file)])
            names = [column[0] for column in result.description or ()]
            _insert_rows(stub, [dict(zip(names, row, strict=True)) for row in result.fetchall()])


def _rows_of_csv(stub: StubTable, file: Path) -> Iterator[dict[str, str | None]]:
    __tracebackhide__ = True
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        for row in filter(None, reader):
            if len(row) != len(header):
                raise SandboxError(
                    f"stub: {stub.name}: line {reader.line_num} of {file} must have as many values "
                    f"as its first line, {len(header)}, not {len(row)}"
                )
            yield {name: value or None for name, value in zip(header, row, strict=True)}


def _by_position(row: Mapping[str, object]) -> dict[str, object]:
    return {str(position): value for position, value in enumerate(row.values())}


def _insert_rows(stub: StubTable, rows: Sequence[Record]) -> None:
    __tracebackhide__ = True
    columns = _matched(stub, list(dict.fromkeys(name for row in rows for name in row)))
    try:
        array = documents(rows, columns, stub.adapter.system.dialect)
    except MisfitRowError as error:
        raise SandboxError(
            f"stub: {error}; the column {error.column.name} of {stub.name} is {error.column.type}"
        ) from None
    _insert(stub, rows, array)


def _insert(stub: StubTable, rows: Sequence[Record], array: str) -> None:
    """Insert documents that have the columns of the rows in their order."""
    __tracebackhide__ = True
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = list(_matched(stub, names).values())
    targets = ", ".join(each.sql for each in columns)
    stub.adapter.execute_users(
        f"INSERT INTO {stub.sql} ({targets}) {stub.adapter.rows.of_documents(columns, array)}"
    )


def _matched(stub: StubTable, names: Sequence[str]) -> dict[str, Column]:
    __tracebackhide__ = True
    adapter = stub.adapter
    columns = adapter.rows.columns(adapter, stub.sql)
    return matched(names, columns, adapter.system, caller="stub", name=stub.name)

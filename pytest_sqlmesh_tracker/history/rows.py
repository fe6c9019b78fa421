"""From reports to the rows of a history, and back: everything is kept."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.report import RunReport

from .schema import (
    AUDITS,
    BATCHES,
    IDS,
    INVOCATIONS,
    OUTCOMES,
    SCHEMA,
    Table,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = dict[str, Any]
"""The values of a row by column."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_BIGINT = range(-(2**63), 2**63)
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class StoredReport:
    """A report as a history stores it."""

    rows: str
    """The rows of all tables, as JSON."""
    exact: str | None
    """The report itself, if it has a text or a number that DuckDB can't hold."""


def to_rows(report: RunReport, *, with_outcomes: bool = True) -> StoredReport:
    """The rows of a report.

    Args:
        with_outcomes: whether to include the rows of its models, which a report has only once.
    """
    data = report.to_dict()
    invocation = {
        column: _json(data[column])
        if type_ == "JSON" and data[column] is not None
        else data[column]
        for column, type_ in INVOCATIONS.columns.items()
    }
    outcomes: list[Row] = []
    batches: list[Row] = []
    audits: list[Row] = []
    for place, outcome in enumerate(report.outcomes.values() if with_outcomes else ()):
        name, facts = outcome.name, data["outcomes"][outcome.name]
        facts["duration"] = _microseconds(outcome.duration)
        outcomes.append(_row(OUTCOMES, facts, name, place))
        for number, batch in enumerate(outcome.batches):
            facts["batches"][number]["duration"] = _microseconds(batch.duration)
            batches.append(_row(BATCHES, facts["batches"][number], name, number))
        for number, of_audit in enumerate(facts["audits"]):
            audits.append(_row(AUDITS, of_audit, name, number))
    rows = {
        INVOCATIONS.name: [invocation],
        OUTCOMES.name: outcomes,
        BATCHES.name: batches,
        AUDITS.name: audits,
    }
    text = _json(rows)
    # An undecodable file name in an error is such a text.
    replaced = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    fits = replaced == text and all(_fits(row) for each in rows.values() for row in each)
    return StoredReport(replaced, None if fits else report.to_json())


def _row(table: Table, data: Mapping[str, Any], model: str, position: int) -> Row:
    row = {column: data[table.fields.get(column, column)] for column in table.columns}
    return {"model": model, "position": position, **row}


def _fits(row: Row) -> bool:
    return all(type(value) is not int or value in _BIGINT for value in row.values())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _microseconds(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // _MICROSECOND


def known_among(
    connection: DuckDBPyConnection, entries: Sequence[Entry]
) -> set[tuple[UUID, str | None]]:
    """The ids and tests of all that the history has of reports with the ids of these."""
    ids = list({str(report.id) for _, report in entries})
    connection.execute(f"SELECT id, test FROM {IDS} WHERE id IN (SELECT unnest($1::UUID[]))", [ids])
    return set(connection.fetchall())


@dataclass(frozen=True)
class Place:
    """Where a history has a report."""

    number: int
    """The number of its invocation."""
    models_number: int
    """The number of its models' rows: that of the first invocation with the same id."""
    test: str | None


def read_entries(connection: DuckDBPyConnection, places: Sequence[Place]) -> Iterator[Entry]:
    """The reports in some places, in order.

    Raises:
        ValueError: the rows are not those of a report; the message is one line.
    """
    numbers = [place.number for place in places]
    connection.execute(
        f"SELECT number, report FROM {SCHEMA}.exact WHERE number IN (SELECT unnest($1))", [numbers]
    )
    exact = dict(connection.fetchall())
    invocations = dict(_rows(connection, INVOCATIONS, numbers))
    numbers = [place.models_number for place in places]
    outcomes = _by_number(_rows(connection, OUTCOMES, numbers))
    batches = _by_number(_rows(connection, BATCHES, numbers))
    audits = _by_number(_rows(connection, AUDITS, numbers))
    for place in places:
        if place.number in exact:
            yield Entry(place.test, RunReport.from_json(exact[place.number]))
            continue
        of_models = {
            row.pop("model"): {**row, "batches": [], "audits": []}
            for row in outcomes[place.models_number]
        }
        for field, rows in (("batches", batches), ("audits", audits)):
            for row in rows[place.models_number]:
                of_models[row.pop("model")][field].append(row)
        named = {name: {"name": name, **facts} for name, facts in of_models.items()}
        report = RunReport.from_parsed({**invocations[place.number], "outcomes": named})
        yield Entry(place.test, report)


def _by_number(rows: Iterable[tuple[int, Row]]) -> Mapping[int, list[Row]]:
    by_number: dict[int, list[Row]] = defaultdict(list)
    for number, row in rows:
        by_number[number].append(row)
    return by_number


def _rows(
    connection: DuckDBPyConnection, table: Table, numbers: Sequence[int]
) -> Iterator[tuple[int, Row]]:
    """The fields of some reports in order, and the model, each with the number of its report."""
    if table is INVOCATIONS:
        types, order = {"id": "UUID", **table.columns}, "number"
    else:
        types, order = {"model": "VARCHAR", **table.columns}, "number, position"
    fields = [(table.fields.get(column, column), type_) for column, type_ in types.items()]
    columns = ", ".join(_selected(column, type_) for column, type_ in types.items())
    # Between the ends, so that DuckDB reads no other parts of the table.
    connection.execute(
        f"SELECT number, {columns} FROM {SCHEMA}.all_{table.name} WHERE number BETWEEN $1 AND $2 "
        f"AND number IN (SELECT unnest($3)) ORDER BY {order}",
        [min(numbers), max(numbers), numbers],
    )
    for number, *values in connection.fetchall():
        pairs = zip(fields, values, strict=True)
        yield number, {field: _field(type_, value) for (field, type_), value in pairs}


def _selected(column: str, type_: str) -> str:
    # For TIMESTAMPTZ itself, some versions of DuckDB require pytz.
    return f'epoch_us("{column}")' if type_ == "TIMESTAMPTZ" else f'"{column}"'


def _field(type_: str, value: Any) -> Any:
    if value is None:
        return None
    if type_ == "TIMESTAMPTZ":
        return _EPOCH + value * _MICROSECOND
    return json.loads(value) if type_ == "JSON" else value

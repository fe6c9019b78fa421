"""From reports to the rows of a history, and back: everything is kept."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport

from .schema import (
    AUDITS,
    BATCHES,
    INVOCATIONS,
    OUTCOMES,
    READ,
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
    """The rows of all tables, as JSON: table → column → values. With the names of the columns in
    each row, it would be more than twice as long."""
    exact: str | None
    """The report itself, if its rows do not have all of it."""


def to_rows(report: RunReport, *, with_outcomes: bool = True) -> StoredReport:
    """The rows of a report.

    Args:
        with_outcomes: whether to include the rows of its models. An invocation has them once, even
            if it was reported for several tests.
    """
    data = report.to_dict()
    for column, type_ in INVOCATIONS.columns.items():
        if type_ == "JSON" and data[column] is not None:
            data[column] = _json(data[column])
    outcomes: list[Row] = []
    batches: list[Row] = []
    audits: list[Row] = []
    models = report.outcomes.values() if with_outcomes else ()
    facts_of_models = data["outcomes"].values() if with_outcomes else ()
    for place, (outcome, facts) in enumerate(zip(models, facts_of_models, strict=True)):
        facts |= {"duration": _microseconds(outcome.duration), "model": outcome.name}
        facts["position"] = place
        outcomes.append(facts)
        for number, (batch, of_batch) in enumerate(
            zip(outcome.batches, facts["batches"], strict=True)
        ):
            of_batch |= {"model": outcome.name, "position": number}
            of_batch["duration"] = _microseconds(batch.duration)
            batches.append(of_batch)
        for number, of_audit in enumerate(facts["audits"]):
            audits.append(of_audit | {"model": outcome.name, "position": number})
    columns = {
        INVOCATIONS.name: _columns(INVOCATIONS, [data]),
        OUTCOMES.name: _columns(OUTCOMES, outcomes),
        BATCHES.name: _columns(BATCHES, batches),
        AUDITS.name: _columns(AUDITS, audits),
    }
    text = _json(columns)
    # An undecodable file name in an error is such a text.
    replaced = as_stored(text)
    complete = with_outcomes and replaced == text and all(map(_fit, columns.values()))
    return StoredReport(replaced, None if complete else report.to_json())


def _columns(table: Table, rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The values of each column; those without any are left out."""
    columns = {}
    for column in table.in_json:
        field = table.fields.get(column, column)
        values = [row[field] for row in rows]
        if any(value is not None for value in values):
            columns[column] = values
    return columns


def _fit(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether all numbers are in the range of their columns."""
    return all(
        value in _BIGINT for values in columns.values() for value in values if type(value) is int
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_stored(text: str) -> str:
    """The text as the tables have it: valid Unicode."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def _microseconds(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // _MICROSECOND


def read_entries(
    connection: DuckDBPyConnection, tests: Mapping[int, str | None]
) -> Iterator[Entry]:
    """The reports with these numbers, each of which has a test or None, in this order.

    Raises:
        ValueError: the rows are not those of a report; the message is one line.
    """
    # Between the ends, so that DuckDB reads no other parts of the tables.
    these = _Condition(
        "number BETWEEN $1 AND $2 AND number IN (SELECT unnest($3))",
        [min(tests), max(tests), [*tests]],
    )
    exact = _exact(connection, these)
    invocations = {
        number: {"id": id_, **facts}
        for number, id_, facts in _rows(connection, INVOCATIONS, "id", these)
    }
    outcomes = _outcomes(connection, these)
    for number, test in tests.items():
        if number in exact:
            yield Entry(test, exact[number])
            continue
        data = {**invocations[number], "outcomes": outcomes[number]}
        yield Entry(test, RunReport.from_parsed(data))


def read_outcomes(
    connection: DuckDBPyConnection, keys: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], ModelOutcome]:
    """The outcomes with these numbers of reports and names of models.

    A name with characters that are not valid Unicode is that of the tables.
    """
    numbers, models = [number for number, _ in keys], [model for _, model in keys]
    connection.execute(
        "CREATE OR REPLACE TEMPORARY TABLE wanted AS "
        "SELECT unnest($1::BIGINT[]) AS number, unnest($2::VARCHAR[]) AS model",
        [numbers, models],
    )
    # Between the ends, so that DuckDB reads no other parts of the tables. Number and model as one
    # value: before DuckDB 1.2, a query after IN can have one column only.
    these = _Condition(
        "number BETWEEN $1 AND $2 AND (number, model) IN (SELECT (number, model) FROM wanted)",
        [min(numbers, default=0), max(numbers, default=0)],
    )
    outcomes = _outcomes(connection, these)
    exact = _exact(connection, _Condition("number IN (SELECT number FROM wanted)"))
    for number, report in exact.items():
        outcomes[number] = {
            as_stored(outcome.name): outcome for outcome in report.outcomes.values()
        }
    return {
        (number, model): ModelOutcome.model_validate(outcomes[number][model])
        for number, model in keys
    }


@dataclass(frozen=True)
class _Condition:
    """Which rows are read, in SQL."""

    sql: str
    parameters: Sequence[object] = ()


def _exact(connection: DuckDBPyConnection, these: _Condition) -> dict[int, RunReport]:
    connection.execute(
        f"SELECT number, report FROM {READ}.exact WHERE {these.sql}", [*these.parameters]
    )
    return {number: RunReport.from_json(text) for number, text in connection.fetchall()}


def _outcomes(connection: DuckDBPyConnection, these: _Condition) -> dict[int, dict[str, Any]]:
    """Number → model → the fields of its outcome."""
    outcomes: dict[int, dict[str, Any]] = defaultdict(dict)
    for number, model, facts in _rows(connection, OUTCOMES, "model", these):
        outcomes[number][model] = {**facts, "name": model, "batches": [], "audits": []}
    for table in (BATCHES, AUDITS):
        for number, model, facts in _rows(connection, table, "model", these):
            outcomes[number][model][table.name].append(facts)
    return outcomes


def _rows(
    connection: DuckDBPyConnection, table: Table, key: str, these: _Condition
) -> Iterator[tuple[int, Any, Row]]:
    """The number, a key and the fields of each row of some reports, in order."""
    order = "position" if "position" in table.keys else "number"
    selected = ", ".join(_selected(column, type_) for column, type_ in table.columns.items())
    connection.execute(
        f"SELECT number, {key}, {selected} FROM {READ}.{table.name} "
        f"WHERE {these.sql} ORDER BY number, {order}",
        [*these.parameters],
    )
    columns = [(table.fields.get(column, column), type_) for column, type_ in table.columns.items()]
    names = [name for name, _ in columns]
    # Most columns have the values of the fields; a function call for each of them would take longer
    # than everything else.
    convert = {name: _CONVERSIONS[type_] for name, type_ in columns if type_ in _CONVERSIONS}
    for number, value_of_key, *values in connection.fetchall():
        row = dict(zip(names, values, strict=True))
        for name, converted in convert.items():
            if row[name] is not None:
                row[name] = converted(row[name])
        yield number, value_of_key, row


# The models of an invocation share many times.
@lru_cache(maxsize=10_000)
def from_microseconds(microseconds: int) -> datetime:
    """The time that `epoch_us` gives for a column, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def _selected(column: str, type_: str) -> str:
    # For TIMESTAMPTZ itself, some versions of DuckDB require pytz.
    return f'epoch_us("{column}")' if type_ == "TIMESTAMPTZ" else f'"{column}"'


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> Any:
    """The value of a JSON text, which many rows share: nobody may change it."""
    return json.loads(text)


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "TIMESTAMPTZ": from_microseconds,
    "JSON": _parsed,
}
"""How the values of a type of column become those of a field, None excepted."""

"""The strategy that draws rows of a model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.data.sources import key_of
from pytest_sqlmesh_tracker.sandbox.data.values import Kind
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.suggestions import did_you_mean

Strategy = st.SearchStrategy[Any]

_EARLIEST, _LATEST = date(1970, 1, 1), date(2099, 12, 31)
_MOMENTS = st.datetimes(
    datetime.combine(_EARLIEST, datetime.min.time()), datetime.combine(_LATEST, datetime.max.time())
)
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\x00")
_LONGEST = 20
_BITS = {Kind.TINYINT: 8, Kind.SMALLINT: 16, Kind.INT: 32, Kind.BIGINT: 64, Kind.INT128: 127}
_UNSIGNED = {Kind.UTINYINT: 8, Kind.USMALLINT: 16, Kind.UINT: 32, Kind.UBIGINT: 64}
_PLAIN: Mapping[Any, Strategy] = {
    Kind.BOOLEAN: st.booleans(),
    Kind.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False, width=32),
    Kind.DATE: st.dates(_EARLIEST, _LATEST),
    Kind.TIMESTAMP: _MOMENTS,
    Kind.TIMESTAMPNTZ: _MOMENTS,
    Kind.DATETIME: _MOMENTS,
    Kind.TIMESTAMPTZ: _MOMENTS.map(lambda moment: moment.replace(tzinfo=timezone.utc)),
    Kind.TIME: st.times(),
    Kind.INTERVAL: st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    Kind.UUID: st.uuids(),
    Kind.BINARY: st.binary(max_size=_LONGEST),
    Kind.VARBINARY: st.binary(max_size=_LONGEST),
    Kind.JSON: st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(-9, 9), max_size=3),
}
_WITH_TEXT = {Kind.TEXT, Kind.VARCHAR, Kind.CHAR, Kind.NVARCHAR, Kind.NCHAR}


def model_rows(
    model: Any,
    *,
    columns: Mapping[str, Strategy] | None = None,
    min_size: int = 0,
    max_size: int = 10,
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of a model, for `insert`, `stub` and `assert_rows`.

    The values are of the declared types of its columns, dates and times from 1970 to 2099. The
    columns of its grain, or else of its unique key, are never NULL, and their values are unique
    among the rows. Other columns are NULL now and then.

    Args:
        model: SQLMesh's `Model` or `Snapshot`, such as `context.get_model("raw.orders")`.
        columns: column → the strategy that draws its values, instead of one for its type.
        min_size: the fewest rows.
        max_size: the most rows.

    Raises:
        SandboxError: the types of the columns are not declared, no strategy is known for a type, or
            the model lacks one of the columns.
    """
    __tracebackhide__ = True
    node = getattr(model, "node", model)
    types = dict(getattr(node, "columns_to_types", None) or {})
    if not types:
        raise SandboxError(f"model_rows(): {_name(node)} must declare the types of its columns")
    drawn = dict(columns or {})
    for name in drawn:
        if name not in types:
            hint = did_you_mean(name, list(types), f"it has {', '.join(types)}")
            raise SandboxError(f"model_rows(): {_name(node)} has no column {name!r}; {hint}")
    key = [name for name in key_of(node) if name in types]
    values = {}
    for name, kind in types.items():
        if name in drawn:
            values[name] = drawn[name]
        else:
            strategy = _of_type(kind, f"{_name(node)}.{name}")
            # A value is simpler than NULL, so that the simplest rows have values.
            values[name] = strategy if name in key else st.one_of(strategy, st.none())
    unique_by = (lambda row: tuple(row[name] for name in key)) if key else None
    return st.lists(
        st.fixed_dictionaries(values), min_size=min_size, max_size=max_size, unique_by=unique_by
    )


def _name(node: Any) -> str:
    return str(getattr(node, "name", node))


def _of_type(kind: exp.DataType, column: str) -> Strategy:
    """The strategy for values of a type."""
    if kind.this in _BITS:
        bound = 2 ** (_BITS[kind.this] - 1)
        return st.integers(-bound, bound - 1)
    if kind.this in _UNSIGNED:
        return st.integers(0, 2 ** _UNSIGNED[kind.this] - 1)
    sizes = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if kind.this is Kind.DECIMAL:
        return _decimals(*sizes)
    if kind.this in _WITH_TEXT:
        return st.text(_CHARACTERS, max_size=min([*sizes[:1], _LONGEST]))
    if kind.this in (Kind.ARRAY, Kind.LIST) and kind.expressions:
        return st.lists(_of_type(kind.expressions[0], column), max_size=3)
    if kind.this is Kind.STRUCT:
        fields = {each.name: _of_type(each.args["kind"], column) for each in kind.expressions}
        return st.fixed_dictionaries(fields)
    if kind.this in _PLAIN:
        return _PLAIN[kind.this]
    raise SandboxError(
        f"model_rows(): no strategy is known for {column}, which is {kind.sql()}; pass one: "
        f"columns={{{column.rpartition('.')[2]!r}: ...}}"
    )


def _decimals(precision: int = 18, scale: int = 3) -> Strategy:
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda digits: Decimal(digits).scaleb(-scale))

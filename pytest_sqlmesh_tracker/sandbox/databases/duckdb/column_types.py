"""Types of other warehouses, as DuckDB stores them."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError


def stored(kind: exp.Expression) -> exp.Expression:
    """The type, or JSON in place of a type that can hold any value; times with a zone remain times
    in each version of sqlglot."""
    if not isinstance(kind, exp.DataType):
        return kind
    types = exp.DataType.Type
    if kind.this == types.TIMESTAMPLTZ:
        return exp.DataType.build("timestamptz")
    anything = kind.this in (types.VARIANT, types.OBJECT, types.SUPER)
    untyped = kind.this == types.ARRAY and not kind.expressions
    return exp.DataType.build("json") if anything or untyped else kind


def with_stored_types(sql: str, is_known: Callable[[str], bool]) -> str | None:
    """A statement with JSON or text in place of types that DuckDB can't store; None if it has none.

    Args:
        is_known: whether DuckDB has a type.
    """
    try:
        statement = parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None
    changed = False
    for kind in list(statement.find_all(exp.DataType)):
        other = stored(kind)
        if other is kind and not is_known(kind.sql(dialect="duckdb")):
            other = exp.DataType.build("text")
        if other is not kind:
            kind.replace(other)
            changed = True
    return statement.sql(dialect="duckdb") if changed else None

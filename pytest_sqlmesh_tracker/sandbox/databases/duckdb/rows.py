"""How DuckDB writes queries on rows of any type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column

_NESTED = ("STRUCT(", "MAP(", "UNION(")
"""How types begin whose values are cast from JSON, not from text."""


class DuckDBRowQueries:
    """Queries on rows in DuckDB."""

    text = "VARCHAR"

    def columns(self, adapter: Any, table: str) -> list[Column]:
        """The columns of a table or view."""
        rows = adapter.cursor.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
        return [Column(name, kind) for name, kind, *_ in rows]

    def of_documents(self, columns: Sequence[Column], documents: str) -> str:
        """A query of the rows that a JSON array contains."""
        literal = exp.Literal.string(documents).sql(dialect="duckdb")
        values = ", ".join(f"{_value(*each)} AS {each[1].sql}" for each in enumerate(columns))
        return (
            f"SELECT {values} FROM (SELECT unnest(json_extract(CAST({literal} AS JSON), '$[*]')) "
            "AS document) AS documents"
        )

    def comparable(self, column: Column) -> str:
        """The column; JSON without white space, and text whatever its collation."""
        if column.type == "VARCHAR":
            return f'{column.sql} COLLATE "binary"'
        return f"json({column.sql})" if column.type == "JSON" else column.sql

    def rounded(self, column: Column) -> str:
        """The column; floating-point numbers with eleven significant digits."""
        if column.type in ("DOUBLE", "FLOAT"):
            return f"CAST(printf('%.10e', {column.sql}) AS {column.type}) AS {column.sql}"
        return column.sql

    def digest(self, query: str) -> str:
        """A query of the number of rows, and of a digest that does not depend on their order."""
        return f"SELECT count(*), coalesce(sum(hash(r)::HUGEINT), 0) FROM (\n{query}\n) AS r"


def _value(position: int, column: Column) -> str:
    """A field of a document as a value of the column's type."""
    field = f"'$.\"{position}\"'"
    if column.type == "BLOB":
        return f"unhex(substr(document->>{field}, 3))"
    if column.type == "JSON":
        # Otherwise, the JSON value `null` would take the place of NULL.
        return f"CASE WHEN document->>{field} IS NOT NULL THEN document->{field} END"
    nested = column.type.endswith("]") or column.type.startswith(_NESTED)
    return f"CAST(document{'->' if nested else '->>'}{field} AS {column.type})"

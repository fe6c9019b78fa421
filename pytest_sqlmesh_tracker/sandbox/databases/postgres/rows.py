"""How PostgreSQL writes queries on rows of any type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column, quoted

_NOT_COMPARABLE = {"xml", "point", "polygon", "box", "circle", "line", "lseg", "path"}
"""Types without an order, or whose operator `=` compares something else, such as areas."""


class PostgresRowQueries:
    """Queries on rows in PostgreSQL."""

    text = "text"

    def columns(self, adapter: Any, table: str) -> list[Column]:
        """The columns of a table or view."""
        literal = exp.Literal.string(table).sql(dialect="postgres")
        adapter.cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            f"WHERE attrelid = to_regclass({literal}) AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum"
        )
        return [Column(*row) for row in adapter.cursor.fetchall()]

    def of_documents(self, columns: Sequence[Column], documents: str) -> str:
        """A query of the rows that a JSON array contains."""
        literal = exp.Literal.string(documents).sql(dialect="postgres")
        keys = [quoted(str(position)) for position in range(len(columns))]
        types = [f"{key} {each.type}" for key, each in zip(keys, columns, strict=True)]
        names = [f"{key} AS {each.sql}" for key, each in zip(keys, columns, strict=True)]
        return (
            f"SELECT {', '.join(names)} "
            f"FROM json_to_recordset({literal}) AS documents({', '.join(types)})"
        )

    def comparable(self, column: Column) -> str:
        """The column; JSON as JSONB, text whatever its collation, and what can't be compared as
        text."""
        if column.type in ("json", "json[]"):
            return f"{column.sql}::{column.type.replace('json', 'jsonb')}"
        bare = column.type.removesuffix("[]")
        if bare == "text" or bare.startswith("character varying"):
            return f'{column.sql} COLLATE "C"'
        return f"{column.sql}::text" if bare in _NOT_COMPARABLE else column.sql

    def rounded(self, column: Column) -> str:
        """The column; floating-point numbers with eleven significant digits."""
        if column.type in ("double precision", "real"):
            finite = f"{column.sql} NOT IN ('NaN', 'Infinity', '-Infinity')"
            digits = f"to_char({column.sql}, '9.9999999999EEEE')::{column.type}"
            return f"CASE WHEN {finite} THEN {digits} ELSE {column.sql} END AS {column.sql}"
        return column.sql

    def digest(self, query: str) -> str:
        """A query of the number of rows, and of a digest that does not depend on their order."""
        total = "coalesce(sum(hashtextextended(r::text, 0)), 0)"
        return f"SELECT count(*), {total} FROM (\n{query}\n) AS r"

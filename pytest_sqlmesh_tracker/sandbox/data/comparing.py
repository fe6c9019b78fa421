"""Compares rows in the database: what one side has and the other lacks, with duplicates counted.

NULL equals NULL, and NaN equals NaN. Only what is shown is read into Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column

from .values import Kind, type_of

LEFT, RIGHT = "sqlmesh_tracker_left", "sqlmesh_tracker_right"
"""The temporary tables that are compared."""
POSITION = "sqlmesh_tracker_position"
"""The column with a row's position, counted from 1, where the order matters."""
_COUNTS, _DIFFERENCE = "sqlmesh_tracker_counts", "sqlmesh_tracker_difference"
SHOWN = 20
"""The most rows that a difference shows."""


@dataclass(frozen=True)
class Row:
    """A row that the two sides have a different number of times.

    Attributes:
        values: the values of the compared columns, as text; None for NULL.
        left: how many times the left side has it.
        right: how many times the right side has it.
    """

    values: tuple[str | None, ...]
    left: int
    right: int


@dataclass(frozen=True)
class Pair:
    """Two rows with the same key and other values: each as text, and which columns differ."""

    left: tuple[str | None, ...]
    right: tuple[str | None, ...]
    differs: tuple[bool, ...]


@dataclass(frozen=True)
class Difference:
    """How two tables differ.

    Attributes:
        columns: the compared columns.
        key: the columns by which rows are paired; empty if no key is known.
        counts: the number of rows of the left and of the right side.
        changed: the number of keys with other values.
        differing: the columns in which rows with the same key differ.
        only_left: the number of rows that the left side has in excess.
        only_right: the number of rows that the right side has in excess.
        pairs: the first rows with the same key and other values.
        excess: the first rows that the left side has in excess.
        missing: the first rows that the right side has in excess.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    counts: tuple[int, int]
    changed: int
    differing: tuple[str, ...]
    only_left: int
    only_right: int
    pairs: tuple[Pair, ...]
    excess: tuple[Row, ...]
    missing: tuple[Row, ...]


class _Family(Enum):
    """Types whose values can be compared with each other."""

    EXACT = "exact numbers"
    FLOATING = "floating-point numbers"
    TEXT = "text"
    TIME = "dates and times"


_FAMILIES = {
    **dict.fromkeys((Kind.TINYINT, Kind.SMALLINT, Kind.INT, Kind.BIGINT), _Family.EXACT),
    **dict.fromkeys((Kind.INT128, Kind.DECIMAL), _Family.EXACT),
    **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), _Family.FLOATING),
    **dict.fromkeys((Kind.TEXT, Kind.VARCHAR, Kind.BPCHAR), _Family.TEXT),
    **dict.fromkeys((Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPNTZ), _Family.TIME),
}


def comparable(left: Column, right: Column, dialect: str) -> bool:
    """Whether the database compares the values of two columns as they are, without rounding."""
    if left.type == right.type:
        return True
    one, other = type_of(left.type, dialect), type_of(right.type, dialect)
    family = _FAMILIES.get(one.this)
    if family is None or family is not _FAMILIES.get(other.this):
        return False
    digits, decimals = zip(_size(one), _size(other), strict=True)
    # DuckDB would otherwise round to the decimals that are left.
    return max(digits) + max(decimals) <= _MOST_DIGITS or not max(decimals)


_MOST_DIGITS = 38
_OF_INTEGERS = {Kind.TINYINT: 3, Kind.SMALLINT: 5, Kind.INT: 10, Kind.BIGINT: 19, Kind.INT128: 39}


def _size(kind: exp.DataType) -> tuple[int, int]:
    """The most digits of a number before and after its point; 0 and 0 for no limit."""
    parameters = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if kind.this != Kind.DECIMAL or not parameters:
        return _OF_INTEGERS.get(kind.this, 0), 0
    precision, scale = (*parameters, 0)[:2]
    return precision - scale, scale


def create(adapter: Any, table: str, query: str) -> None:
    """Create a temporary table with the rows of a query."""
    # The query can end in a comment.
    adapter.execute_users(
        f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM (\n{query}\n) AS source_rows"
    )


def difference(adapter: Any, columns: Sequence[Column], key: Sequence[str]) -> Difference | None:
    """How the rows of the two temporary tables differ; None if they do not.

    Args:
        columns: the columns to compare, which both tables have.
        key: those of the columns by which rows are paired.
    """
    return _Comparison(adapter, tuple(columns), tuple(key)).difference()


class _Comparison:
    def __init__(self, adapter: Any, columns: tuple[Column, ...], key: tuple[str, ...]) -> None:
        self._adapter = adapter
        self._columns = columns
        # Positions, because columns can have any names.
        self._names = [f"c{position}" for position in range(len(columns))]
        self._key = key
        places = [each.name for each in columns]
        self._keys = [self._names[places.index(each)] for each in key]

    def difference(self) -> Difference | None:
        """Compare the rows."""
        if not self._count():
            return None
        changed = self._one(f"SELECT count(*) FROM {_DIFFERENCE} WHERE paired AND l = 1")
        only_left = self._sum("l - r")
        only_right = self._sum("r - l")
        limits = _shares([changed, only_left, only_right])
        return Difference(
            columns=self._columns,
            key=self._key,
            counts=(
                self._one(f"SELECT count(*) FROM {LEFT}"),
                self._one(f"SELECT count(*) FROM {RIGHT}"),
            ),
            changed=changed,
            differing=self._differing() if changed else (),
            only_left=only_left,
            only_right=only_right,
            pairs=tuple(self._pairs(limits[0])),
            excess=tuple(self._rows("l > r", limits[1])),
            missing=tuple(self._rows("l < r", limits[2])),
        )

    def _count(self) -> int:
        """Count each row on both sides, and keep those whose counts differ.

        Rows of keys that have one row on each side are marked as paired; that of the left side
        carries the values of the other one.

        Returns:
            The number of different rows.
        """
        for table in (_COUNTS, _DIFFERENCE):
            self._execute(f"DROP TABLE IF EXISTS {table}")
        names = ", ".join(self._names)
        compared = ", ".join(
            f"{self._adapter.rows.comparable(each)} AS {name}"
            for each, name in zip(self._columns, self._names, strict=True)
        )
        self._execute(
            f"CREATE TEMPORARY TABLE {_COUNTS} AS SELECT {names}, SUM(l) AS l, SUM(r) AS r FROM ("
            f"SELECT {compared}, 1 AS l, 0 AS r FROM {LEFT} UNION ALL "
            f"SELECT {compared}, 0 AS l, 1 AS r FROM {RIGHT}"
            f") AS both_sides GROUP BY {names} HAVING SUM(l) <> SUM(r)"
        )
        count = self._one(f"SELECT count(*) FROM {_COUNTS}")
        # Two rows with nothing else beside them belong together, too.
        pairing = self._keys or (count == 2 and len(self._columns) > 1)
        same_key = f"PARTITION BY {', '.join(self._keys)}" if self._keys else ""
        others = ", ".join(f"LEAD({name}) OVER in_order AS other_{name}" for name in self._names)
        self._execute(
            f"CREATE TEMPORARY TABLE {_DIFFERENCE} AS SELECT *, "
            f"SUM(l) OVER same_key = 1 AND SUM(r) OVER same_key = 1 AS paired, {others} "
            f"FROM {_COUNTS} WINDOW same_key AS ({same_key}), in_order AS ({same_key} ORDER BY r)"
            if pairing
            else f"CREATE TEMPORARY TABLE {_DIFFERENCE} AS SELECT *, FALSE AS paired FROM {_COUNTS}"
        )
        return count

    def _differing(self) -> tuple[str, ...]:
        """The columns in which the rows of any pair differ."""
        differs = ", ".join(f"bool_or({each})" for each in self._distinct())
        (flags,) = self._execute(f"SELECT {differs} FROM {_DIFFERENCE} WHERE paired AND l = 1")
        return tuple(each.name for each, flag in zip(self._columns, flags, strict=True) if flag)

    def _pairs(self, limit: int) -> Iterator[Pair]:
        if not limit:
            return
        others = [f"other_{name}" for name in self._names]
        order = ", ".join(f"d.{name}" for name in self._keys or self._names)
        rows = self._execute(
            f"SELECT {self._texts(self._names)}, {self._texts(others)}, "
            f"{', '.join(self._distinct())} FROM {_DIFFERENCE} AS d WHERE paired AND l = 1 "
            f"ORDER BY {order} LIMIT {limit}"
        )
        width = len(self._names)
        for row in rows:
            yield Pair(row[:width], row[width : 2 * width], row[2 * width :])

    def _distinct(self) -> list[str]:
        return [f"{name} IS DISTINCT FROM other_{name}" for name in self._names]

    def _rows(self, condition: str, limit: int) -> Iterator[Row]:
        if not limit:
            return
        order = ", ".join(f"d.{name}" for name in dict.fromkeys([*self._keys, *self._names]))
        rows = self._execute(
            f"SELECT {self._texts(self._names)}, l, r FROM {_DIFFERENCE} AS d "
            f"WHERE NOT paired AND {condition} ORDER BY {order} LIMIT {limit}"
        )
        for *values, left, right in rows:
            yield Row(tuple(values), int(left), int(right))

    def _texts(self, expressions: Sequence[str]) -> str:
        return ", ".join(f"CAST({each} AS {self._adapter.rows.text})" for each in expressions)

    def _sum(self, excess: str) -> int:
        return self._one(
            f"SELECT SUM({excess}) FROM {_DIFFERENCE} WHERE NOT paired AND {excess} > 0"
        )

    def _one(self, query: str) -> int:
        ((value,),) = self._execute(query)
        return int(value or 0)

    def _execute(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._adapter.execute_users(sql)
        return rows


def _shares(counts: Sequence[int]) -> list[int]:
    """How many rows of each sort are shown: all, or else at least an equal share."""
    shares = [0] * len(counts)
    free = SHOWN
    fewest_first = sorted(range(len(counts)), key=lambda position: counts[position])
    for done, position in enumerate(fewest_first):
        shares[position] = min(counts[position], free // (len(counts) - done))
        free -= shares[position]
    return shares

"""What a sandbox can do with rows: read them, and compare them in the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from pytest_sqlmesh_tracker.sandbox.databases.engine import Column
from pytest_sqlmesh_tracker.sandbox.databases.tokens import statements, words_outside_parentheses
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .comparing import LEFT, POSITION, RIGHT, Difference, comparable, create, difference
from .inserting import insert
from .records import MisfitRowError, Record, documents, matched, records
from .sources import Source, Sources
from .wording import EXPECTED, described, sides_of


class RowMethods(ABC):
    """The methods of a sandbox that read and compare rows."""

    @property
    @abstractmethod
    def _sources(self) -> Sources:
        """What the test can read rows of."""

    @abstractmethod
    def _errors_explained(self, adapter: Any) -> AbstractContextManager[None]:
        """Add hints to the errors of a database."""

    def rows(self, model_or_sql: object) -> list[dict[str, Any]]:
        """Read the rows of a model, or of a query.

        A model is read in the sandbox's environment, ordered by its grain and then by all columns;
        an external model is read in its table. A query is executed as by `fetch`.

        Args:
            model_or_sql: a name, a glob that matches one model, or SQLMesh's `Model` or `Snapshot`;
                the name of another table; or a query: a text with white space.

        Returns:
            The rows, as column → value, with the values as the database's driver returns them.

        Raises:
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: the model has no rows of its own, or is not planned yet; or the query has
                two columns with one name.
        """
        __tracebackhide__ = True
        source = self._sources.source(model_or_sql, "rows")
        with self._errors_explained(source.adapter):
            sql = str(model_or_sql) if source.table is None else _ordered(source, source.table)
            return read(source, sql)

    def assert_rows(
        self,
        model_or_sql: object,
        rows: Iterable[Record],
        *,
        order: bool = False,
        columns: Sequence[str] | None = None,
    ) -> None:
        """Assert that a model or a query has exactly these rows.

        They are compared in the database: NULL equals NULL, NaN equals NaN, and each row must be
        there as many times as expected. A value means the same in every type that can hold it:
        `0.1` equals a decimal 0.10, a date equals the timestamp at its midnight, and a text can be
        a date or a time. Times without a time zone are in UTC.

        Args:
            model_or_sql: as in `rows`.
            rows: mappings of columns to values, or a DataFrame, whose missing values are NULL.
            order: whether the order matters; this requires a query with ORDER BY.
            columns: the columns to compare; None means all. Each row must have them.

        Raises:
            AssertionError: rows are missing, different or unexpected; the message shows at most 20,
                by key if the model has a grain or a unique key.
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: a column does not exist, or a row lacks one.
        """
        __tracebackhide__ = True
        source = self._sources.source(model_or_sql, "assert_rows")
        if order:
            _check_ordered(source)
        expected = records(rows, "assert_rows")
        with self._errors_explained(source.adapter):
            differs = difference_to(source, expected, columns, order=order)
        if differs is not None:
            headline = f"{source.name} does not have the expected rows"
            if differs.columns[0].name == POSITION:
                headline = f"{source.name} has the expected rows, but in another order"
            raise AssertionError(described(headline, differs, EXPECTED, [source]))

    def assert_same_rows(self, a: object, b: object) -> None:
        """Assert that two models or queries have the same rows, each the same number of times.

        They are compared in the database, column by column, by name.

        Args:
            a: as in `rows`.
            b: as in `rows`.

        Raises:
            AssertionError: they have different rows or columns, or columns whose types can't be
                compared. The message shows at most 20 rows, by key if one of the models has a grain
                or a unique key.
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: they are in the databases of two gateways.
        """
        __tracebackhide__ = True
        left = self._sources.source(a, "assert_same_rows")
        right = self._sources.source(b, "assert_same_rows")
        left, right = _numbered(left, right)
        adapter = left.adapter
        if right.adapter is not adapter:
            raise SandboxError(
                f"assert_same_rows(): {left.name} and {right.name} are in the databases of two "
                "gateways; read one of them: assert_rows(a, sqlmesh_project.rows(b))"
            )
        with self._errors_explained(adapter), adapter.scratch():
            columns = _common(
                left,
                _materialized(left, LEFT),
                right,
                _materialized(right, RIGHT),
            )
            differs = difference(adapter, columns, _key(left, columns) or _key(right, columns))
        if differs is not None:
            headline = f"{left.name} and {right.name} do not have the same rows"
            sides = sides_of(left.name, right.name)
            raise AssertionError(described(headline, differs, sides, [left, right]))

    def insert(self, model: object, rows: Iterable[Record]) -> None:
        """Insert rows into the table of an external model, or of another one.

        The table of another model is that of its version in the sandbox's environment. The rows
        remain there until SQLMesh loads their interval again. If rows arrive in the table over time
        (`arrivals=`), later ones are there once the clock has reached their time.

        Args:
            model: a name, a glob that matches one model, or SQLMesh's `Model` or `Snapshot`; or the
                name of a table that no model declares.
            rows: mappings of columns to values, or a DataFrame, whose missing values are NULL. The
                columns that a row lacks are NULL.

        Raises:
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: the model has no table; a column does not exist, or can't hold a value; a
                row lacks the time at which it arrives (`arrivals=`); or the database rejects the
                rows.
        """
        __tracebackhide__ = True
        inserted = records(rows, "insert")
        insert(self._sources.target(model, "insert"), inserted)


_POSITION = Column(POSITION, "BIGINT")


def read(source: Source, sql: str) -> list[dict[str, Any]]:
    """Read the rows of a source, with this SQL.

    Raises:
        SandboxError: the query has two columns with one name, or the SQL returns no rows.
    """
    __tracebackhide__ = True
    adapter = source.adapter
    rows = adapter.execute_users(sql)
    if adapter.cursor.description is None:
        raise SandboxError(f"rows() requires a query, but this returns no rows: {source.text}")
    names = [column[0] for column in adapter.cursor.description]
    _check_unique(names, source)
    return [dict(zip(names, map(_bytes, row), strict=True)) for row in rows]


def difference_to(
    source: Source,
    expected: Sequence[Record],
    columns: Sequence[str] | None = None,
    *,
    order: bool = False,
) -> Difference | None:
    """How the rows of a source differ from those that are expected; None if they do not.

    Args:
        columns: the columns to compare; None means all.
        order: whether the order matters. If only the order differs, the difference begins with a
            column for the positions.

    Raises:
        AssertionError: an expected value does not fit its column.
        SandboxError: a column does not exist, or a row lacks one.
    """
    __tracebackhide__ = True
    adapter = source.adapter
    with adapter.scratch():
        actual = _materialized(source, LEFT, order=order)
        compared = _compared(actual, expected, columns, source)
        _create_expected(source, expected, compared, order=order)
        shown = list(compared.values())
        differs = difference(adapter, shown, _key(source, shown))
        if differs is None and order:
            differs = difference(adapter, [_POSITION, *shown], (POSITION,))
    return differs


def _ordered(source: Source, table: str) -> str:
    """The query of a table, in an order that does not depend on the database."""
    adapter = source.adapter
    columns = adapter.rows.columns(adapter, table)
    key = _key(source, columns)
    columns.sort(key=lambda each: each.name not in key)
    order = ", ".join(adapter.rows.comparable(each) for each in columns)
    return f"{source.query} ORDER BY {order}" if order else source.query


def _key(source: Source, columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns of the source's key, as stored; empty if some are missing."""
    folded = source.adapter.system.folded
    names = {folded(each.name): each.name for each in columns}
    key = [names.get(folded(name)) for name in source.key]
    return tuple(name for name in key if name) if None not in key else ()


def _materialized(source: Source, table: str, *, order: bool = False) -> list[Column]:
    """Put the rows of a source into a temporary table.

    Returns:
        The columns of the source.
    """
    __tracebackhide__ = True
    adapter = source.adapter
    for statement in source.before:
        adapter.execute_users(statement)
    query = source.query
    if order:
        query = f"SELECT rows_.*, row_number() OVER () AS {POSITION} FROM (\n{query}\n) AS rows_"
    create(adapter, table, query)
    columns: list[Column] = adapter.rows.columns(adapter, table)
    return [each for each in columns if each.name != POSITION]


def _compared(
    actual: Sequence[Column], rows: Sequence[Record], chosen: Sequence[str] | None, source: Source
) -> Mapping[str, Column]:
    """The columns to compare, by their names in the expected rows."""
    __tracebackhide__ = True
    if isinstance(chosen, str):
        raise SandboxError(f"assert_rows(): columns must be a list of names, not {chosen!r}")

    def columns_of(names: Iterable[str]) -> dict[str, Column]:
        __tracebackhide__ = True
        system = source.adapter.system
        return matched(names, actual, system, caller="assert_rows", name=source.name)

    required = list(columns_of(chosen).values()) if chosen else list(actual)
    of_rows = columns_of(dict.fromkeys(name for row in rows for name in row))
    for position, row in enumerate(rows):
        present = {of_rows[name] for name in row}
        lacking = [each.name for each in required if each not in present]
        if lacking:
            raise SandboxError(_lacking(position, lacking, required, source))
    if not rows:
        return {each.name: each for each in required}
    return {name: each for name, each in of_rows.items() if each in required}


def _lacking(
    position: int, lacking: Sequence[str], required: Sequence[Column], source: Source
) -> str:
    others = [each.name for each in required if each.name not in lacking]
    text = f"assert_rows(): rows[{position}] lacks {', '.join(lacking)} of {source.name}"
    if not others:
        return text
    return f"{text}; to compare only the others, pass columns={others!r}"


def _create_expected(
    source: Source, rows: Sequence[Record], columns: Mapping[str, Column], *, order: bool
) -> None:
    """Put the expected rows into a temporary table, in the types of the actual ones."""
    __tracebackhide__ = True
    adapter = source.adapter
    if order:
        columns = {**columns, POSITION: _POSITION}
        rows = [{**row, POSITION: position} for position, row in enumerate(rows, 1)]
    try:
        array = documents(rows, columns, adapter.system.dialect)
    except MisfitRowError as error:
        raise AssertionError(
            f"{source.name} can't have the expected rows: {error}; the column "
            f"{error.column.name} is {error.column.type}"
        ) from None
    try:
        create(adapter, RIGHT, adapter.rows.of_documents(list(columns.values()), array))
    except adapter.system.errors as error:
        first, *_ = str(error).splitlines()
        raise AssertionError(
            f"{source.name} can't have the expected rows: the database rejects them: {first}"
        ) from None


def _common(
    left: Source, of_left: Sequence[Column], right: Source, of_right: Sequence[Column]
) -> list[Column]:
    """The columns of both sides.

    Raises:
        AssertionError: one side has other columns, or other types.
    """
    __tracebackhide__ = True
    headline = f"{left.name} and {right.name} do not have the same columns"
    by_name = {each.name: each for each in of_right}
    names = {each.name for each in of_left}
    only = [
        f"only {source.name} has {', '.join(more)}"
        for source, more in (
            (left, [each.name for each in of_left if each.name not in by_name]),
            (right, [each.name for each in of_right if each.name not in names]),
        )
        if more
    ]
    if only:
        raise AssertionError(f"{headline}: {'; '.join(only)}")
    dialect = left.adapter.system.dialect
    for each in of_left:
        other = by_name[each.name]
        if not comparable(each, other, dialect):
            raise AssertionError(
                f"{headline}: {each.name} is {each.type} in {left.name}, and {other.type} in "
                f"{right.name}; to compare the values, cast the column in a query"
            )
    return list(of_left)


def _numbered(left: Source, right: Source) -> tuple[Source, Source]:
    """The sources with different names, if both are queries."""
    if left.table is not None or right.table is not None:
        return left, right
    return replace(left, name="the first query"), replace(right, name="the second query")


def _check_ordered(source: Source) -> None:
    __tracebackhide__ = True
    if source.table is None:
        for tokens in statements(source.query, source.adapter.system.dialect):
            if "ORDER BY" in " ".join(words_outside_parentheses(tokens)):
                return
    raise SandboxError(
        "assert_rows(order=True) requires a query with ORDER BY: without it, the rows of "
        f"{source.name} have no order"
    )


def _check_unique(names: Sequence[str], source: Source) -> None:
    __tracebackhide__ = True
    for name in names:
        if names.count(name) > 1:
            raise SandboxError(f"rows(): {source.name} has two columns named {name!r}")


def _bytes(value: Any) -> Any:
    # psycopg2 returns values of BYTEA as views of memory, which are not equal to bytes in lists.
    return bytes(value) if isinstance(value, memoryview) else value

"""The columns of tables that no model declares, inferred from the queries that read them.

A query shows which columns it reads, and the types of some: a sum requires numbers. Otherwise a
column is text, which can hold every value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

from .relations import shown_name

_SYSTEM = {"information_schema", "pg_catalog"}

_NUMBER, _TEXT, _MOMENT, _TRUTH = map(
    exp.DataType.build, ("double", "text", "timestamp", "boolean")
)
_SHOWS: tuple[tuple[tuple[type[exp.Expression], ...], exp.DataType], ...] = (
    ((exp.Sum, exp.Avg, exp.Round, exp.Abs, exp.Neg, exp.Mul, exp.Div, exp.Mod, exp.Ceil,
      exp.Floor, exp.Stddev, exp.Variance), _NUMBER),
    ((exp.DateTrunc, exp.TimestampTrunc, exp.Extract, exp.DateAdd, exp.DateSub, exp.DateDiff,
      exp.TimestampAdd, exp.TimestampSub, exp.TimestampDiff, exp.Year, exp.Month, exp.Day,
      exp.DayOfWeek, exp.TimeToStr), _MOMENT),
    ((exp.Lower, exp.Upper, exp.Trim, exp.Like, exp.ILike, exp.Concat, exp.DPipe, exp.Substring,
      exp.Split, exp.RegexpLike, exp.StrToTime, exp.StrToDate, exp.Length, exp.Replace), _TEXT),
    ((exp.And, exp.Or, exp.Not, exp.Where), _TRUTH),
    ((exp.JSONExtract, exp.JSONExtractScalar), exp.DataType.build("json")),
)  # fmt: skip
"""The types of the operands of expressions."""
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_ALIKE = (*_COMPARISONS, exp.Coalesce, exp.Add, exp.Sub)
"""Expressions whose operands have the same type."""


@dataclass(frozen=True)
class Undeclared:
    """A table that models read and that no model declares.

    Attributes:
        name: the table's name as users write it.
        readers: the names of the models that read it.
        columns: the columns that the queries read, with their inferred types; empty if unknown.
    """

    name: str
    table: exp.Table
    readers: tuple[str, ...]
    columns: Mapping[str, exp.DataType] = field(hash=False)

    @property
    def advice(self) -> str:
        """What a user can do about a statement that failed because of it."""
        readers = ", ".join(self.readers)
        if self.columns:
            shown = ", ".join(
                f"{name} {kind.sql(dialect='duckdb')}" for name, kind in self.columns.items()
            )
            problem = f"the sandbox inferred its columns from the queries that read it: {shown}"
        else:
            problem = (
                "the queries that read it don't show its columns, as with SELECT * or COUNT(*)"
            )
        return (
            f"{self.name}, which {readers} {'reads' if len(self.readers) == 1 else 'read'}, is "
            f"not declared by any model, and {problem}. Declare it with its columns in "
            "external_models.yaml, or create it with setup= or before_all."
        )


@dataclass(frozen=True)
class UnknownTable:
    """A table that is read but does not belong to any of a project's models.

    Attributes:
        gateway: the gateway of a model that reads it; None for the selected one.
    """

    gateway: str | None
    table: exp.Table


def unknown_tables(models: Mapping[str, Any]) -> list[UnknownTable]:
    """The tables that models of a project read but that do not belong to any of its models."""
    gateways = {
        name: model.gateway
        for model in models.values()
        for name in model.depends_on - models.keys()
    }
    tables = [UnknownTable(gateways[name], exp.to_table(name)) for name in sorted(gateways)]
    return [each for each in tables if _can_be_made(each.table)]


def undeclared(
    tables: Iterable[exp.Table], models: Mapping[str, Any], default_catalog: str | None
) -> tuple[Undeclared, ...]:
    """The tables that no model declares, with what the project's queries show about them."""
    by_name = {_name(table): table for table in tables}
    if not by_name:
        return ()
    queries = _Queries(models, default_catalog, set(by_name))
    return tuple(
        Undeclared(
            name=shown_name(table, default_catalog),
            table=table,
            readers=tuple(sorted(m.name for m in models.values() if name in m.depends_on)),
            columns=queries.columns_of(name),
        )
        for name, table in by_name.items()
    )


def _can_be_made(table: exp.Table) -> bool:
    """Whether a name means a table, rather than a file or a system table."""
    is_file = any(sign in table.name for sign in "./*")
    return bool(table.db) and not is_file and table.db.lower() not in _SYSTEM


class _Queries:
    """The queries of all models that are downstream of undeclared tables."""

    def __init__(
        self, models: Mapping[str, Any], default_catalog: str | None, undeclared: set[str]
    ) -> None:
        self._undeclared = undeclared
        self._scopes: dict[str, Scope] = {}
        self._unread: set[str] = set()
        """Tables whose columns can't be inferred from the queries that read them."""
        self._columns: dict[str, dict[str, list[exp.DataType]]] = {n: {} for n in undeclared}
        concerned = set(undeclared)
        # Models are unordered: repeat until no more are downstream.
        while more := {
            fqn for fqn, m in models.items() if fqn not in concerned and m.depends_on & concerned
        }:
            concerned |= more
        for fqn in concerned - undeclared:
            scope = _scope_of(models[fqn], default_catalog)
            if scope is None:
                self._unread |= models[fqn].depends_on & undeclared
            else:
                self._scopes[fqn] = scope
        for fqn, scope in self._scopes.items():
            self._read(models[fqn], scope)

    def columns_of(self, name: str) -> dict[str, exp.DataType]:
        """The columns of an undeclared table; empty if the queries do not show them all."""
        if name in self._unread:
            return {}
        return {column: next(iter(kinds), _TEXT) for column, kinds in self._columns[name].items()}

    def _read(self, model: Any, root: Scope) -> None:
        for scope in root.traverse():
            for star in scope.expression.find_all(exp.Star) if scope is root else ():
                if star.find_ancestor(exp.Count) is None and star.find_ancestor(exp.Select) is (
                    scope.expression
                ):
                    self._unread |= self._starred(scope)
            for column in scope.columns:
                for table, name in self._origins(scope, column):
                    kinds = self._columns[table].setdefault(name, [])
                    kinds.extend(_shown_by(column))
        declared = model.columns_to_types_ or {}
        for output, kind in declared.items():
            for table, name in self._outputs(root, output):
                self._columns[table].setdefault(name, []).append(kind)

    def _starred(self, scope: Scope) -> set[str]:
        """The undeclared tables from which a query passes on every column."""
        tables = set()
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                tables.add(_name(source))
            elif any(isinstance(each, exp.Star) for each in _selects(source)):
                tables |= self._starred(source)
        return tables & self._undeclared

    def _origins(self, scope: Scope, column: exp.Column) -> Iterator[tuple[str, str]]:
        """The columns of undeclared tables that a column passes on unchanged."""
        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            yield from self._columns_in(_name(source), column.name)
        elif source is not None:
            yield from self._outputs(source, column.name)

    def _columns_in(self, table: str, column: str) -> Iterator[tuple[str, str]]:
        if table in self._undeclared:
            yield table, column
        elif table in self._scopes:
            yield from self._outputs(self._scopes[table], column)

    def _outputs(self, scope: Scope, name: str) -> Iterator[tuple[str, str]]:
        """The origins of an output column of a query."""
        if scope.union_scopes:
            for branch in scope.union_scopes:
                yield from self._outputs(branch, name)
            return
        if not isinstance(scope.expression, exp.Select):
            return
        for projection in scope.expression.selects:
            if projection.alias_or_name == name:
                value = projection.unalias()
                if isinstance(value, exp.Column):
                    yield from self._origins(scope, value)
                return
        if len(scope.sources) == 1 and any(p.is_star for p in scope.expression.selects):
            (alias,) = scope.sources
            yield from self._origins(scope, exp.column(name, alias))


def _scope_of(model: Any, default_catalog: str | None) -> Scope | None:
    """The model's query, with each column qualified by its table; None if it can't be rendered."""
    if not model.is_sql:
        return None
    try:
        query = model.render_query()
        if query is None:
            return None
        qualified = qualify(
            query.copy(),
            dialect=model.dialect,
            catalog=default_catalog,
            schema=MappingSchema(model.mapping_schema, dialect=model.dialect, normalize=False),
            infer_schema=True,
            validate_qualify_columns=False,
        )
        return build_scope(qualified)
    # A query that can't be rendered without a database is ignored; evaluation raises its error.
    except Exception:
        return None


def _selects(scope: Scope) -> list[exp.Expression]:
    query: Any = scope.expression
    return list(query.selects)


def _name(table: exp.Table) -> str:
    return exp.table_name(table, identify=True)


def _shown_by(column: exp.Column) -> Iterator[exp.DataType]:
    """The types that the expression around a column shows for it."""
    parent: Any = column.parent
    while isinstance(parent, exp.Paren | exp.Distinct):
        parent = parent.parent
    if isinstance(parent, exp.Cast):
        yield _widened(parent.to)
    elif isinstance(parent, _ALIKE):
        yield from _alike(parent, column)
    else:
        yield from (kind for kinds, kind in _SHOWS if isinstance(parent, kinds))


def _alike(parent: exp.Expression, column: exp.Column) -> Iterable[exp.DataType]:
    others = [e for e in parent.iter_expressions() if column not in (e, e.unnest())]
    if any(isinstance(each, exp.Interval) for each in others):
        return [_MOMENT]
    kinds = [_widened(e.to) for e in others if isinstance(e, exp.Cast)]
    literals = [e for e in others if isinstance(e, exp.Literal | exp.Neg)]
    numbers = [e for e in literals if not getattr(e, "is_string", False)]
    if not kinds and numbers:
        return [_NUMBER]
    if not kinds and any(isinstance(e, exp.Boolean) for e in others):
        return [_TRUTH]
    if isinstance(parent, exp.Add | exp.Sub) and not kinds:
        return [_NUMBER]
    return kinds


def _widened(kind: exp.DataType) -> exp.DataType:
    """A type that holds what can be cast to this one, including what the cast drops."""
    if kind.is_type(*exp.DataType.TEMPORAL_TYPES):
        return _MOMENT
    if kind.is_type(*exp.DataType.NUMERIC_TYPES):
        return kind if kind.is_type("decimal") else _NUMBER
    return kind

"""Where rows are read: in the view of a model, in an external table, or in a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlmesh.core.environment import Environment
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.sandbox.databases.arrivals import Arrival, Arrivals
from pytest_sqlmesh_tracker.sandbox.databases.tokens import statements
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.wording.formats import one_line

from .models import index_of


@dataclass(frozen=True)
class Source:
    """Rows in a database of a sandbox.

    Attributes:
        name: how messages refer to it.
        query: the query of its rows, without a semicolon.
        before: statements to be executed before the query.
        adapter: the adapter of its database.
        table: the table or view that contains them, as SQL; None for a query.
        key: the columns of the model's grain, or else of its unique key; empty if unknown.
        text: the query as the test wrote it; None for a model.
    """

    name: str
    query: str
    adapter: Any
    before: tuple[str, ...] = ()
    table: str | None = None
    key: tuple[str, ...] = ()
    text: str | None = None

    @classmethod
    def of_table(
        cls, name: str, table: exp.Table, adapter: Any, key: tuple[str, ...] = ()
    ) -> Source:
        """All rows of a table or view."""
        # DuckDB and PostgreSQL quote names alike.
        sql = table.sql(dialect="duckdb", identify=True)
        return cls(name, f"SELECT * FROM {sql}", adapter, table=sql, key=key)


@dataclass(frozen=True)
class Target:
    """A table that rows can be inserted into, as SQL, and the adapter of its database.

    Attributes:
        arrival: how its rows arrive over time; None if they are there at once.
    """

    name: str
    table: str
    adapter: Any
    arrival: Arrival | None = None


class Sources:
    """The rows that a test can name, in one environment of a sandbox."""

    def __init__(self, context: Any, environment: str, arrivals: Arrivals | None = None) -> None:
        """Look up nothing yet.

        Args:
            arrivals: the tables whose rows arrive over time, which `target` must know.
        """
        self._context = context
        self._arrivals = arrivals or Arrivals()
        self._environment = Environment.sanitize_name(environment)

    def source(self, model_or_sql: object, caller: str) -> Source:
        """The rows of a model or a table, or of a query if the argument is a text with white space.

        Args:
            caller: the method that was called, for messages.

        Raises:
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: several models match, or the model has no rows of its own, or not yet.
        """
        __tracebackhide__ = True
        if isinstance(model_or_sql, str) and len(model_or_sql.split()) > 1:
            return self._query(model_or_sql)
        name, node, table = self._model_or_table(model_or_sql, caller)
        if node is None:
            return Source.of_table(name, table, self._context.engine_adapter)
        _check_has_rows(name, node)
        if node.kind.is_external:
            return Source.of_table(name, table, self._adapter_of(node), key_of(node))
        view, adapter = self._view(node, name)
        return Source.of_table(name, view, adapter, key_of(node))

    def target(self, model: object, caller: str) -> Target:
        """The table of an external model, or the table behind the view of another model.

        Raises:
            UnknownModelError: the name is neither a model nor a table.
            SandboxError: several models match, or the model has no table, or not yet.
        """
        __tracebackhide__ = True
        name, node, table = self._model_or_table(model, caller)
        adapter = self._context.engine_adapter
        if node is not None:
            _check_has_rows(name, node)
            if node.kind.is_view:
                raise SandboxError(f"{name} is a view: insert into what it reads")
            adapter = self._adapter_of(node)
            if not node.kind.is_external:
                version, _ = self._version(node, name)
                table = exp.to_table(version.table_name(True))
        if not adapter.system.is_readable(adapter, table):
            raise SandboxError(
                f"{name} has no table: declare its columns in external_models.yaml, or create the "
                "table with setup="
            )
        arrival = self._arrivals.of(table, adapter, self._context.engine_adapters)
        if arrival is not None:
            return Target(name, arrival.complete.sql, adapter, arrival)
        return Target(name, table.sql(dialect=adapter.dialect, identify=True), adapter)

    def _model_or_table(self, model: object, caller: str) -> tuple[str, Any, exp.Table]:
        """The name of the only model that matches, the model and its table; or, without a model, a
        table that no model declares."""
        __tracebackhide__ = True
        try:
            matching = index_of(self._context).matching(model)
        except UnknownModelError:
            table = self._table(model)
            if table is None:
                raise
            return str(model), None, table
        if len(matching) > 1:
            names = ", ".join(each.name for each in matching)
            raise SandboxError(f"{caller}() requires one model; {model!r} matches {names}")
        (match,) = matching
        node = self._context.models.get(match.fqn)
        if node is None:
            raise SandboxError(f"{match.name} is a standalone audit, which has no rows")
        return match.name, node, node.fully_qualified_table

    def _table(self, name: object) -> exp.Table | None:
        """The table or view with this name in the gateway's database, if any."""
        adapter = self._context.engine_adapter
        try:
            table = exp.to_table(str(name), dialect=adapter.dialect)
        except SqlglotError:
            return None
        return table if table.name and adapter.system.is_readable(adapter, table) else None

    def _query(self, text: str) -> Source:
        adapter = self._context.engine_adapter
        try:
            parts = [
                text[tokens[0].start : tokens[-1].end + 1]
                for tokens in statements(text, adapter.system.dialect)
            ]
        except SQLMeshError:
            # The database reports what is wrong with it.
            parts = [text]
        *before, query = parts or [text]
        return Source("the query", query, adapter, tuple(before), text=one_line(text, 300))

    def _adapter_of(self, node: Any) -> Any:
        context = self._context
        return context.engine_adapters[node.gateway or context.selected_gateway]

    def _version(self, node: Any, name: str) -> tuple[Any, Any]:
        """The version of a model that is in the environment, and the environment."""
        __tracebackhide__ = True
        environment = self._context.state_reader.get_environment(self._environment)
        tables = {each.name: each for each in environment.snapshots} if environment else {}
        if node.fqn not in tables:
            raise SandboxError(
                f"{name} is not in the environment {self._environment!r} yet, so it has no rows: "
                "apply a plan that contains it"
            )
        return tables[node.fqn], environment

    def _view(self, node: Any, name: str) -> tuple[exp.Table, Any]:
        """The view of a model in the environment, and the adapter of its database."""
        __tracebackhide__ = True
        version, environment = self._version(node, name)
        if version not in environment.promoted_snapshots:
            # What is unchanged in dev can lack a view there.
            return exp.to_table(version.table_name(True)), self._adapter_of(node)
        adapter = self._context.engine_adapter
        if environment.gateway_managed:
            adapter = self._adapter_of(node)
        view = version.qualified_view_name.table_for_environment(
            environment.naming_info, dialect=adapter.dialect
        )
        return view, adapter


def _check_has_rows(name: str, node: Any) -> None:
    __tracebackhide__ = True
    if node.kind.is_embedded:
        raise SandboxError(f"{name} is embedded, and has no rows of its own")


def key_of(node: Any) -> tuple[str, ...]:
    """The columns of the model's first grain, or of its unique key; empty if it has neither."""
    for grain in node.grains[:1] or [node.unique_key]:
        parts = grain.expressions if isinstance(grain, exp.Tuple) else grain
        columns = [_column(part) for part in (parts if isinstance(parts, list) else [parts])]
        if columns and None not in columns:
            return tuple(each for each in columns if each)
    return ()


def _column(expression: exp.Expression) -> str | None:
    """The name of a column, unless the expression computes something else."""
    bare = expression.unnest()
    if isinstance(bare, exp.Coalesce):
        # SQLMesh wraps the columns of unique keys.
        bare = bare.this
    return bare.name if isinstance(bare, exp.Column) else None

"""Models that have a test's data instead of their queries.

A stub is an ordinary SQL model that reads a table with the data, so that SQLMesh filters it by
interval, audits it and loads what is downstream as usual. Other data does not change the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp
from sqlmesh.core.model import SqlModel

from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.sandbox.options import SandboxError, StubData
from pytest_sqlmesh_tracker.tracking.project.nodes import STUBS_SCHEMA, is_stub
from pytest_sqlmesh_tracker.wording.formats import listed

from .models import index_of
from .stub_rows import StubTable, fill

_LEFT_OUT = {
    *("entrypoint", "query", "source_type", "columns", "ignored_rules", "depends_on"),
    *("pre_statements", "post_statements", "on_virtual_update", "mapping_schema"),
}
"""The fields of a model that belong to its query, to what surrounds it, or to its lineage."""


class Stubs:
    """The stubs of a sandbox, by name; what a test adds later is independent of the template."""

    def __init__(self, data: Mapping[str, StubData]) -> None:
        """Remember the data; nothing of the project is loaded yet."""
        self._data = dict(data)
        self._fqns: dict[str, str] = {}

    def copy(self) -> Stubs:
        """The same stubs in a copy of the databases."""
        copied = Stubs(self._data)
        copied._fqns = dict(self._fqns)
        return copied

    @property
    def fqns(self) -> frozenset[str]:
        """The fully qualified names of the stubbed models."""
        return frozenset(self._fqns.values())

    def add(self, name: str, fqn: str, data: StubData) -> None:
        """Stub another model, or give a stubbed one other data."""
        # The marker can have another name of the model.
        for other in [each for each, of in self._fqns.items() if of == fqn]:
            del self._data[other], self._fqns[other]
        self._data[name] = data
        self._fqns[name] = fqn

    def apply(self, context: Any) -> bool:
        """Put the stubs in the place of the models that a context has loaded.

        Returns:
            Whether any model was replaced.

        Raises:
            SandboxError: a model does not exist, or can't be stubbed.
        """
        __tracebackhide__ = True
        replaced = False
        for name in self._data:
            if name not in self._fqns:
                self._fqns[name] = _one(context, name)
            model = context._models.get(self._fqns[name])
            if model is not None and not is_stub(model):
                context._models.update({model.fqn: _stub_of(model, name)})
                replaced = True
        return replaced

    def fill(self, context: Any, only: str | None = None) -> None:
        """Create the tables with the data.

        Args:
            only: the name of the only stub to fill; None means all.

        Raises:
            SandboxError: the data does not fit the model.
        """
        __tracebackhide__ = True
        for name, data in self._data.items():
            model = context._models.get(self._fqns[name])
            if only in (None, name) and model is not None:
                adapter = context.engine_adapters[model.gateway or context.selected_gateway]
                fill(StubTable(name, _table_of(model), _columns_of(model, name), adapter), data)


def _one(context: Any, name: str) -> str:
    """The fully qualified name of the only model that the name matches."""
    __tracebackhide__ = True
    try:
        matching = index_of(context).matching(name)
    except UnknownModelError as error:
        raise SandboxError(f"stub: {error}") from None
    if len(matching) > 1:
        names = listed([each.name for each in matching])
        raise SandboxError(f"stub: {name!r} matches several models: {names}")
    (match,) = matching
    if match.kind == "audit":
        raise SandboxError(f"stub: {name} is a standalone audit, which has no rows")
    return match.fqn


def _table_of(model: Any) -> exp.Table:
    """The table with the data, in the catalog of the model."""
    table = model.fully_qualified_table
    name = exp.to_identifier(f"{table.db}.{table.name}", quoted=True)
    return exp.table_(
        name, db=exp.to_identifier(STUBS_SCHEMA, quoted=True), catalog=table.args["catalog"]
    )


def _columns_of(model: Any, name: str) -> dict[str, exp.DataType]:
    """The columns that the model's query must return."""
    __tracebackhide__ = True
    columns = model.columns_to_types or {}
    managed = model.managed_columns
    columns = {column: kind for column, kind in columns.items() if column not in managed}
    unknown = [c for c, kind in columns.items() if kind.this == exp.DataType.Type.UNKNOWN]
    if unknown or not columns:
        of = f" of {listed(unknown, 10)}" if unknown else ""
        raise SandboxError(
            f"stub: SQLMesh can't infer the types{of} in {name}: declare them as columns (...) in "
            "its MODEL block"
        )
    return columns


def _stub_of(model: Any, name: str) -> Any:
    """A model with the same name and kind that reads its stub's table."""
    __tracebackhide__ = True
    if model.kind.is_external:
        raise SandboxError(f"stub: {name} is external: insert() and setup= fill its table")
    if model.kind.is_seed:
        raise SandboxError(f"stub: {name} is a seed: write() replaces its file")
    columns = _columns_of(model, name)
    projections = [
        exp.alias_(exp.cast(exp.column(column, quoted=True), kind), column, quoted=True)
        for column, kind in columns.items()
    ]
    # SQLMesh adds the definitions of audits later, without setting the field.
    own = model.model_fields_set | {"audit_definitions"}
    by_keyword = {field.alias or each: each for each, field in SqlModel.model_fields.items()}
    fields = {
        keyword: getattr(model, each)
        for keyword, each in by_keyword.items()
        if each in own and keyword not in _LEFT_OUT
    }
    # It parses what the annotations of newer versions call a `ParsableSql`.
    make: Any = SqlModel
    stub = make(
        **fields,
        query=exp.select(*projections).from_(_table_of(model)),
        columns=columns,
        depends_on={_table_of(model).sql(dialect=model.dialect, identify=True)},
        ignored_rules={"ALL"},
    )
    stub._path = model._path
    return stub

"""Determines the columns from which the columns of a model are computed.

SQLMesh's own `column_dependencies` is slower and keeps every query in memory. Unlike it, this
module leaves out what can't be determined, and never lists a table that the model does not read.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlglot import exp
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer import build_scope
from sqlglot.optimizer.qualify import qualify
from sqlmesh.core.dialect import normalize_mapping_schema, normalize_model_name

logger = logging.getLogger("pytest_sqlmesh_tracker")

Sources = frozenset[tuple[str, str]]
"""Pairs of a model's or table's fully qualified name and a column of it."""


def column_sources(model: Any) -> dict[str, Sources]:
    """Column of a SQL model → its direct sources outside the model; it never raises.

    Columns that SQLMesh adds (`valid_from`) are left out. Other kinds of models have no lineage.
    """
    if not model.is_sql:
        return {}
    try:
        return _Query(model).sources()
    except Exception:
        logger.debug("no column lineage of %s", model.fqn, exc_info=True)
        return {}


class _UnknownSourceError(Exception):
    """A column has a source that can't be determined."""


class _Query:
    """A model's query, with every column qualified by its table."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tables: dict[int, str | None] = {}
        query = model.render_query_or_raise()
        if not query.type:
            # A query with a type is already qualified (sqlmesh/core/renderer.py,
            # `_optimize_query`). The model keeps its query, so a copy is qualified.
            schema = normalize_mapping_schema(model.mapping_schema, dialect=model.dialect)
            query = qualify(
                query.copy(),
                dialect=model.dialect,
                schema=schema,
                validate_qualify_columns=False,
                infer_schema=True,
            )
        self._query = query
        self._scope = build_scope(query)

    def sources(self) -> dict[str, Sources]:
        lineage: dict[str, Sources] = {}
        for column in self._query.named_selects:
            try:
                if column != "*":
                    lineage[column] = self._sources_of(column)
            except Exception:
                logger.debug("no lineage of %s.%s", self._model.fqn, column, exc_info=True)
        return lineage

    def _sources_of(self, column: str) -> Sources:
        root = lineage(
            exp.column(column, quoted=True),
            self._query,
            scope=self._scope,
            dialect=self._model.dialect,
            trim_selects=False,
            copy=False,
        )
        leaves = [node for node in root.walk() if not node.downstream]
        sources = {(self._table(leaf), exp.to_column(leaf.name).name) for leaf in leaves}
        return frozenset((table, name) for table, name in sources if table)

    def _table(self, leaf: Node) -> str | None:
        """The table of a column at the end of the lineage; None if it has no table."""
        source = leaf.expression
        if id(source) not in self._tables:
            self._tables[id(source)] = self._read(source)
        if leaf.name == "*" and self._tables[id(source)]:
            raise _UnknownSourceError(f"all columns of {source}")
        return self._tables[id(source)]

    def _read(self, source: Any) -> str | None:
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            table = normalize_model_name(
                source.copy(),
                default_catalog=self._model.default_catalog,
                dialect=self._model.dialect,
            )
            if table in self._model.depends_on:
                return table
            if table == self._model.fqn:
                return None
            raise _UnknownSourceError(f"the model does not read {table}")
        # A constant or a function's rows, unless they depend on other columns.
        inside = source.this if isinstance(source, exp.Table) else source
        if inside.find(exp.Placeholder, exp.Table, exp.Query, exp.Column):
            raise _UnknownSourceError(f"{source}")
        return None

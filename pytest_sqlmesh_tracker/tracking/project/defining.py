"""Reads the definition of a SQLMesh project from its files, before anything runs.

Neither the state nor the warehouse is read, with one exception: if a connection's settings do not
determine its default catalog (Spark, BigQuery without `project`), SQLMesh queries the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.models.definitions import (
    AuditDefinition,
    ColumnDefinition,
    ColumnSource,
    ModelDefinition,
    ProjectDefinition,
)
from pytest_sqlmesh_tracker.process.state import process_state_restored

from .lineage import column_sources
from .location import ProjectLocation
from .names import display_names, kind_of, shown
from .nodes import audit_arguments, audit_names, project_nodes
from .opening import check_models, expanded, in_one_line, load_files, open_context


def load_definition(project: ProjectLocation) -> ProjectDefinition:
    """The definition of the project at this location.

    Environment variables, imported modules and SQLMesh's registries are restored afterwards.
    SQLMesh's `.cache` stays in the folders, as does `target` in those of dbt projects; this process
    keeps what a configuration sets permanently, which is the use of analytics and how a dialect
    normalizes names. Models of other projects, which only the state has, are not included.

    Raises:
        ProjectError: the project can't be loaded.
    """
    with process_state_restored(folder.absolute() for folder in expanded(project.paths)):
        context = open_context(project, load=False)
        try:
            with in_one_line(project.paths):
                load_files(context)
                check_models(context, project.paths)
                return define(context)
        finally:
            context.close()


def define(context: Any) -> ProjectDefinition:
    """The definitions of the models that a SQLMesh context has loaded."""
    return _Project(context).definition()


class _Project:
    """A loaded project, and the names of its models and tables."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._nodes = project_nodes(context)
        self._names = display_names(self._nodes, context.default_catalog)
        self._parts = self._identifiers()
        self._outside = {
            fqn: self._name_outside(fqn)
            for node in self._nodes.values()
            for fqn in node.depends_on
            if fqn not in self._nodes
        }

    def definition(self) -> ProjectDefinition:
        outside = {name: _parts_of(name) for name in sorted(self._outside.values())}
        return ProjectDefinition(
            name=self._context.config.project or self._context.path.name,
            models=tuple(self._model(fqn) for fqn in self._sorted()),
            outside=outside,
        )

    def _sorted(self) -> Iterator[str]:
        parents = {
            fqn: sorted(self._nodes[fqn].depends_on & self._nodes.keys())
            for fqn in sorted(self._nodes)
        }
        return iter(TopologicalSorter(parents).static_order())

    def _model(self, fqn: str) -> ModelDefinition:
        node, is_model = self._nodes[fqn], self._nodes[fqn].is_model
        return ModelDefinition(
            name=self._names[fqn],
            fqn=fqn,
            parts=self._parts[fqn],
            kind=kind_of(node),
            dialect=node.dialect or None,
            cron=node.cron,
            cron_tz=node.cron_tz.key if node.cron_tz else None,
            start=_as_written(node.start),
            end=_as_written(node.end),
            description=node.description,
            owner=node.owner,
            tags=tuple(node.tags),
            upstream=tuple(self._name(parent) for parent in sorted(node.depends_on)),
            columns=tuple(_columns(node)) if is_model else (),
            lineage=self._lineage(node) if is_model else {},
            file=str(node._path.absolute()) if node._path else None,
            version=node.data_hash,
            audits=_audits(node),
        )

    def _lineage(self, model: Any) -> dict[str, tuple[ColumnSource, ...]]:
        return {
            column: tuple(ColumnSource(self._name(fqn), name) for fqn, name in sorted(sources))
            for column, sources in column_sources(model).items()
        }

    def _name(self, fqn: str) -> str:
        return self._names[fqn] if fqn in self._names else self._outside[fqn]

    def _name_outside(self, fqn: str) -> str:
        name = shown(fqn, self._context.default_catalog)
        return fqn if name in self._names.values() else name

    def _identifiers(self) -> dict[str, tuple[str, ...]]:
        """Names as users write them, or SQLMesh's if those are not unique without quotes."""
        parts = {
            fqn: _parts_of(name, self._nodes[fqn].dialect if name != fqn else None)
            if self._nodes[fqn].is_model
            else (name,)
            for fqn, name in self._names.items()
        }
        counts = Counter(parts.values())
        return {fqn: own if counts[own] == 1 else _parts_of(fqn) for fqn, own in parts.items()}


def _parts_of(name: str, dialect: str | None = None) -> tuple[str, ...]:
    return tuple(part.name for part in exp.to_table(name, dialect=dialect).parts)


def _as_written(moment: Any) -> str | None:
    return None if moment is None else str(moment)


def _columns(model: Any) -> Iterator[ColumnDefinition]:
    descriptions = model.column_descriptions
    for name, kind in (model.columns_to_types or {}).items():
        known = not any(part.is_type("unknown") for part in kind.find_all(exp.DataType))
        yield ColumnDefinition(
            name=name,
            type=kind.sql(dialect=model.dialect) if known else None,
            description=descriptions.get(name),
        )


def _audits(node: Any) -> tuple[AuditDefinition, ...]:
    """Audits as SQLMesh's evaluator (sqlmesh/core/snapshot/evaluator.py, `_audit`) and reports
    treat them: identical calls count as one, and the last decides whether it blocks."""
    names = audit_names(node)
    definitions: dict[tuple[str, frozenset[tuple[str, str]]], AuditDefinition] = {}
    for audit, arguments in node.audits_with_args:
        if audit.skip:
            continue
        override = arguments.get("blocking")
        as_sql = audit_arguments(arguments)
        definitions[audit.name, frozenset(as_sql.items())] = AuditDefinition(
            name=names[audit.name],
            arguments=as_sql,
            blocking=audit.blocking if override is None else override == exp.true(),
            # Only standalone audits have a description.
            description=getattr(audit, "description", None),
        )
    return tuple(definitions.values())

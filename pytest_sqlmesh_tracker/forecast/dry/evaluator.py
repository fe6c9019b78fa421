"""Evaluates nothing, and knows which tables there would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, NamedTuple

from sqlmesh.core.snapshot import DeployabilityIndex, SnapshotEvaluator
from sqlmesh.core.snapshot.evaluator import SnapshotCreationFailedError
from sqlmesh.utils import CompletionStatus
from sqlmesh.utils.concurrency import concurrent_apply_to_snapshots
from sqlmesh.utils.connection_pool import SingletonConnectionPool
from sqlmesh.utils.errors import SQLMeshError


class Table(NamedTuple):
    """The table of a model's version."""

    model: str
    """Fully qualified name."""
    version: str
    is_preview: bool


class Tables:
    """The tables that exist in a dry run."""

    def __init__(self, existing: Iterable[Table]) -> None:
        self._existing = set(existing)

    def create(self, snapshot: Any, index: DeployabilityIndex) -> None:
        """Create the table that an evaluation of the snapshot writes to."""
        self._existing.add(_table(snapshot, deployable=index.is_deployable(snapshot)))

    def is_written(self, snapshot: Any, index: DeployabilityIndex) -> bool:
        """Whether the table that an evaluation writes to exists."""
        return _table(snapshot, deployable=index.is_deployable(snapshot)) in self._existing

    def check_read(self, snapshot: Any, index: DeployabilityIndex) -> None:
        """Check that the table exists from which others read the model.

        Raises:
            SQLMeshError: it does not exist.
        """
        if _table(snapshot, deployable=index.is_representative(snapshot)) not in self._existing:
            name = snapshot.model.name
            raise SQLMeshError(f"{name} has no table yet, since nothing of it is loaded")


def _table(snapshot: Any, *, deployable: bool) -> Table:
    version = snapshot.version if deployable else snapshot.dev_version
    return Table(snapshot.name, version, not deployable)


class DryEvaluator(SnapshotEvaluator):
    """Evaluates and creates nothing in any database."""

    tables: Tables

    @classmethod
    def like(cls, evaluator: SnapshotEvaluator, tables: Tables) -> DryEvaluator:
        """An evaluator for the same gateways, without connections."""
        adapters = {gateway: _offline(adapter) for gateway, adapter in evaluator.adapters.items()}
        made = cls(adapters, evaluator.ddl_concurrent_tasks, evaluator.selected_gateway)
        made.tables = tables
        return made

    def evaluate(self, snapshot: Any, **arguments: Any) -> Any:
        """Evaluate nothing; raise if the model reads a table that does not exist."""
        index = _index(arguments)
        self._check_parents(snapshot, arguments["snapshots"], index)
        self.tables.create(snapshot, index)

    def create(
        self,
        target_snapshots: Iterable[Any],
        snapshots: Mapping[Any, Any],
        deployability_index: DeployabilityIndex | None = None,
        on_start: Callable[[Any], None] | None = None,
        on_complete: Callable[[Any], None] | None = None,
        *_: Any,
        **__: Any,
    ) -> CompletionStatus:
        """Create no tables; raise as SQLMesh does for models that read a table that does not exist.

        Early versions of SQLMesh create all tables of a plan before they evaluate anything.
        """
        index = deployability_index or DeployabilityIndex.all_deployable()
        missing = self.get_snapshots_to_create(target_snapshots, index)
        if not missing:
            return CompletionStatus.NOTHING_TO_DO
        if on_start is not None:
            on_start(missing)
        known = {snapshot.name: snapshot for snapshot in snapshots.values()}
        errors, skipped = concurrent_apply_to_snapshots(
            missing,
            lambda snapshot: self.create_snapshot(snapshot, known, index, on_complete=on_complete),
            tasks_num=1,
            raise_on_error=False,
        )
        if errors:
            raise SnapshotCreationFailedError(errors, skipped)
        return CompletionStatus.SUCCESS

    def create_snapshot(
        self,
        snapshot: Any,
        snapshots: Mapping[str, Any],
        deployability_index: DeployabilityIndex,
        *_: Any,
        on_complete: Callable[[Any], None] | None = None,
        **__: Any,
    ) -> None:
        """Create no table; raise if the model reads a table that does not exist."""
        self._check_parents(snapshot, snapshots, deployability_index)
        self.tables.create(snapshot, deployability_index)
        if on_complete is not None:
            on_complete(snapshot)

    def get_snapshots_to_create(
        self, target_snapshots: Iterable[Any], deployability_index: DeployabilityIndex
    ) -> list[Any]:
        """The models whose tables do not exist."""
        return [
            snapshot
            for snapshot in target_snapshots
            if snapshot.is_model
            and not snapshot.is_symbolic
            and (
                not self.tables.is_written(snapshot, deployability_index)
                or (snapshot.is_seed and not snapshot.intervals)
            )
        ]

    def promote(self, target_snapshots: Iterable[Any], *_: Any, **arguments: Any) -> None:
        """Create no views; raise as SQLMesh does for those whose tables do not exist."""
        index = _index(arguments)
        promoted = [each for each in target_snapshots if each.is_model and not each.is_symbolic]
        concurrent_apply_to_snapshots(
            promoted, lambda snapshot: self.tables.check_read(snapshot, index), tasks_num=1
        )

    def audit(self, *_: Any, **__: Any) -> list[Any]:
        """Run no audits: none fails."""
        return []

    def create_physical_schemas(self, *_: Any, **__: Any) -> None:
        """Create no schemas."""

    def demote(self, *_: Any, **__: Any) -> None:
        """Remove no views."""

    def migrate(self, *_: Any, **__: Any) -> None:
        """Change no tables."""

    def cleanup(self, *_: Any, **__: Any) -> None:
        """Remove no tables."""

    def set_correlation_id(self, *_: Any, **__: Any) -> SnapshotEvaluator:
        """The evaluator itself."""
        return self

    def _check_parents(
        self, snapshot: Any, snapshots: Mapping[str, Any], index: DeployabilityIndex
    ) -> None:
        """Check that the tables exist that a model reads; what a Python model reads is unknown."""
        if not (snapshot.is_model and snapshot.model.is_sql):
            return
        for parent in snapshot.parents:
            known = snapshots.get(parent.name)
            if known is not None and known.is_model and not known.is_symbolic:
                self.tables.check_read(known, index)


def _offline(adapter: Any) -> Any:
    """The adapter without connections, so that nothing can reach its database."""
    offline = copy(adapter)
    offline._connection_pool = SingletonConnectionPool(_refuse)
    return offline


def _refuse() -> Any:
    raise SQLMeshError("a dry run must not use a database")


def _index(arguments: Mapping[str, Any]) -> DeployabilityIndex:
    return arguments.get("deployability_index") or DeployabilityIndex.all_deployable()

"""A context whose plans and runs change nothing but a copy of the state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole
from sqlmesh.core.notification_target import NotificationTargetManager
from sqlmesh.core.plan.evaluator import BuiltInPlanEvaluator
from sqlmesh.core.scheduler import Scheduler
from sqlmesh.core.snapshot import SnapshotEvaluator

from pytest_sqlmesh_tracker.tracking.preferences import Preferences, prefer

from .evaluator import DryEvaluator, Table, Tables
from .state import copied_state


class DryContext(Context):
    """A context that evaluates nothing. Signals are ready, and statements of environments are left
    out."""

    def __init__(self, *, state: Any, tables: Tables, **arguments: Any) -> None:
        """Make a context that has loaded nothing. `Context` gets the other arguments.

        Args:
            state: the copy of the state.
            tables: the tables that exist.
        """
        # Nothing can finish a plan in a copy of the state.
        prefer(self, Preferences(longest_wait=0))
        self._tables = tables
        # The copy of the state has a single connection, which threads can't share.
        super().__init__(load=False, state_sync=state, concurrent_tasks=1, **arguments)
        self.console = NoopConsole()
        scheduler: Any = _DryScheduler(self._scheduler)
        self._scheduler = scheduler

    @property
    def snapshot_evaluator(self) -> SnapshotEvaluator:
        """An evaluator that evaluates nothing."""
        if not isinstance(self._snapshot_evaluator, DryEvaluator):
            self._snapshot_evaluator = DryEvaluator.like(super().snapshot_evaluator, self._tables)
        return self._snapshot_evaluator

    def create_scheduler(
        self, snapshots: Iterable[Any], snapshot_evaluator: SnapshotEvaluator
    ) -> Scheduler:
        """A scheduler that takes all signals to be ready."""
        scheduler: Any = super().create_scheduler(snapshots, snapshot_evaluator)
        scheduler._check_ready_intervals = lambda _, intervals, *__, **___: intervals
        result: Scheduler = scheduler
        return result

    def _register_notification_targets(self) -> None:
        self.notification_target_manager = NotificationTargetManager({}, {}, username=None)

    def _run_janitor(self, *_: Any, **__: Any) -> None:
        """Leave the state's leftovers alone."""


class _DryScheduler:
    """The configuration of SQLMesh's scheduler, whose plans execute no statements."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    def create_plan_evaluator(self, context: Any) -> BuiltInPlanEvaluator:
        """An evaluator of plans."""
        return _DryPlanEvaluator(
            state_sync=context.state_sync,
            snapshot_evaluator=context.snapshot_evaluator,
            create_scheduler=context.create_scheduler,
            default_catalog=context.default_catalog,
            console=context.console,
        )


class _DryPlanEvaluator(BuiltInPlanEvaluator):
    def visit_before_all_stage(self, *_: Any, **__: Any) -> None:
        """Execute no statements."""

    def visit_after_all_stage(self, *_: Any, **__: Any) -> None:
        """Execute no statements."""


@contextmanager
def dry_context(context: Any, **arguments: Any) -> Iterator[DryContext]:
    """A context on a copy of another one's state, which has loaded nothing.

    Args:
        context: SQLMesh's; its state is read, and must exist.
        arguments: those of `Context`, such as its configurations.
    """
    with TemporaryDirectory(prefix="sqlmesh_tracker_") as folder:
        state = copied_state(context._new_state_sync(), Path(folder), context.default_catalog)
        tables = Tables(_existing(state))
        dry = DryContext(state=state, tables=tables, **arguments)
        dry.__dict__["cache_dir"] = Path(folder)
        try:
            yield dry
        finally:
            dry.close()


def _existing(state: Any) -> Iterator[Table]:
    """The tables of which something is loaded, and those that complete environments show."""
    table = state.interval_state.intervals_table
    adapter = state.engine_adapter
    rows = adapter.fetchall(
        f"SELECT DISTINCT name, version, dev_version, is_dev FROM {table.sql(dialect='duckdb')}"
    )
    for name, version, dev_version, is_dev in rows:
        yield Table(name, dev_version if is_dev else version, bool(is_dev))
    for environment in state.get_environments():
        if environment.finalized_ts:
            for snapshot in environment.promoted_snapshots:
                yield Table(snapshot.name, snapshot.version, is_preview=False)

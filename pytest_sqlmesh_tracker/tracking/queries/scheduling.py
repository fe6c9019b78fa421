"""What SQLMesh's scheduler decides if an environment is run; nothing is evaluated or written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.console import NoopConsole
from sqlmesh.core.snapshot import DeployabilityIndex, earliest_start_date

from pytest_sqlmesh_tracker.tracking.events.facts import frozen_by_name
from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.project.environments import deployability
from pytest_sqlmesh_tracker.tracking.spans import Millis


@dataclass(frozen=True)
class RunStart:
    """The models of an environment as a run at a moment finds them (sqlmesh/core/scheduler.py,
    `_run_or_audit`): copies, which never reach the state."""

    environment: Any
    moment: Millis
    stored: Mapping[str, FrozenSnapshot]
    """With the intervals that the state has."""
    compared: Snapshots
    """After automatic restatements: as the run looks for missing intervals."""

    @classmethod
    def of(cls, context: Any, environment: Any, moment: Millis) -> RunStart:
        """Read them from the state.

        Args:
            context: has read the environment (`planned`).
            environment: SQLMesh's own, from the state.
            moment: the run's execution time.
        """
        # What a context has cached must not change.
        stored = context.state_sync.get_snapshots(environment.snapshots).values()
        snapshots = [FrozenSnapshot.of(snapshot).thawed() for snapshot in stored]
        context.state_sync.refresh_snapshot_intervals(snapshots)
        frozen = frozen_by_name(snapshots)
        if environment.name.lower() == c.PROD:
            compared = Snapshots(frozen).restated_at(moment, frozen)
            compared.restates = True
        else:
            compared = Snapshots(frozen, deployability(environment.name, snapshots))
        return cls(environment, moment, frozen, compared)

    @property
    def index(self) -> Any:
        """The `DeployabilityIndex` that decides which of their tables count."""
        return self.compared.deployability_index or DeployabilityIndex.all_deployable()

    def scheduler(self, context: Any, *, console: Any = None, signals: bool = True) -> Any:
        """SQLMesh's scheduler for them.

        Args:
            context: a SQLMesh context, which makes it.
            console: what the scheduler prints to; by default nothing is printed.
            signals: whether the models have their signals.
        """
        snapshots = [self.compared.snapshot(name) for name in self.compared.frozen]
        if not signals:
            snapshots = [_without_signals(snapshot) for snapshot in snapshots]
        scheduler = context.create_scheduler(snapshots, context.snapshot_evaluator)
        scheduler.console = console or NoopConsole()
        return scheduler

    def missing(self, scheduler: Any, only: Collection[str] | None = None) -> dict[Any, Any]:
        """Snapshots with missing intervals → these intervals, before signals and batching.

        Args:
            scheduler: as `scheduler` returned it.
            only: the fully qualified names of selected models; None for all.
        """
        per_version = scheduler.snapshot_per_version.values()
        missing: dict[Any, Any] = scheduler.merged_missing_intervals(
            # SQLMesh's default start, relative to this moment instead of this process's clock.
            start=earliest_start_date(per_version, relative_to=self.moment),
            end=self.moment,
            execution_time=self.moment,
            deployability_index=self.index,
            selected_snapshots=None if only is None else set(only),
        )
        return missing

    def batches(self, scheduler: Any, missing: Mapping[Any, Any]) -> dict[Any, Any]:
        """Snapshots with missing intervals → those of their batches that nothing holds back.

        The code of signals is called, as in a run.
        """
        batches: dict[Any, Any] = scheduler.batch_intervals(
            missing, self.index, self.environment.naming_info
        )
        return batches


def _without_signals(snapshot: Any) -> Any:
    if not (snapshot.is_model and snapshot.model.signals):
        return snapshot
    copy = snapshot.copy()
    copy.node = copy.node.copy(update={"signals": []})
    return copy

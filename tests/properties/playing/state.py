"""What SQLMesh's state has, and what would be missing, by SQLMesh's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.projects import Intervals, Span, state_adapter, without

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.snapshot import Snapshot


Snapshots = Mapping[str, "Snapshot"]
LOADED = (
    "SELECT name, concat(version, CASE WHEN is_dev THEN dev_version END, "
    "CASE WHEN is_dev THEN 'true' ELSE 'false' END), "
    "start_ts, end_ts, is_removed FROM sqlmesh._intervals "
    "WHERE NOT is_pending_restatement ORDER BY created_ts, id"
)


@dataclass(frozen=True)
class State:
    """The state at one moment: intervals of every table, and the models of one environment."""

    intervals: Intervals
    environment: Snapshots | None
    """By fully qualified name; None if there is no such environment."""
    finalized: bool = True
    expires_at: int | None = None
    """When SQLMesh takes the environment for gone, in milliseconds: a plan then begins anew."""
    removed: frozenset[str] = frozenset()
    """Models of which the state still shows that something of them was removed."""


def shown(fqn: str) -> str:
    """The name as users write it."""
    return fqn.replace('"', "").removeprefix("wh.")


def read_state(context: Context, environment: str) -> State:
    if not context.state_sync.get_versions(validate=False).schema_version:
        return State({}, None)
    intervals: Intervals = {}
    removed: set[str] = set()
    for name, table, start, end, is_removed in state_adapter(context).fetchall(LOADED):
        removed |= {name} if is_removed else set()
        spans = intervals.setdefault(name, {}).setdefault(table, [])
        spans[:] = without(spans, [(start, end)]) + ([] if is_removed else [(start, end)])
    stored = context.state_reader.get_environment(environment)
    if stored is None:
        return State(intervals, None, removed=frozenset(removed))
    snapshots = context.state_reader.get_snapshots(stored.snapshots)
    # SQLMesh may go on to change those that it has cached.
    by_name = {snapshot.name: copied(snapshot) for snapshot in snapshots.values()}
    finalized, expires = bool(stored.finalized_ts), stored.expiration_ts
    return State(intervals, by_name, finalized, expires, frozenset(removed))


def as_stored(context: Context, snapshots: Iterable[Snapshot]) -> Snapshots:
    """Copies of some versions, with what the state has of them."""
    copies = [copied(snapshot) for snapshot in snapshots]
    context.state_sync.refresh_snapshot_intervals(copies)
    return {snapshot.name: snapshot for snapshot in copies}


def copied(snapshot: Snapshot) -> Snapshot:
    """The same version, with intervals that can be changed."""
    copy = snapshot.copy()
    copy.intervals = list(snapshot.intervals)
    copy.dev_intervals = list(snapshot.dev_intervals)
    copy.pending_restatement_intervals = list(snapshot.pending_restatement_intervals)
    return copy


def own_definition(snapshot: Snapshot) -> tuple[str, str]:
    """What changes if the model itself was edited, whatever happened to its parents."""
    return snapshot.fingerprint.data_hash, snapshot.fingerprint.metadata_hash


def deployability(snapshots: Snapshots, environment: str, start: Any = None) -> Any:
    """Which table of each version an environment uses."""
    from sqlmesh.core.snapshot import DeployabilityIndex

    if environment == "prod":
        return DeployabilityIndex.all_deployable()
    return DeployabilityIndex.create(snapshots.values(), start=start)


def missing(
    snapshots: Snapshots,
    environment: str,
    *,
    execution_time: datetime,
    start: Any = None,
    end: Any = None,
    ignore_cron: bool = False,
    index: Any = None,
) -> dict[str, list[Span]]:
    """What a run of these versions would find missing, interval by interval."""
    from sqlmesh.core.snapshot import missing_intervals

    return {
        snapshot.name: [(low, high) for low, high in spans]
        for snapshot, spans in missing_intervals(
            list(snapshots.values()),
            start=start,
            end=end or execution_time,
            execution_time=execution_time,
            deployability_index=index or deployability(snapshots, environment, start),
            ignore_cron=ignore_cron,
        ).items()
    }


def restated(snapshots: Snapshots, environment: str, execution_time: datetime) -> bool:
    """Apply due automatic restatements, as a run of prod does; return whether there were any."""
    from sqlmesh.core.snapshot import apply_auto_restatements

    if environment != "prod":
        return False
    by_id = {snapshot.snapshot_id: snapshot for snapshot in snapshots.values()}
    intervals, _ = apply_auto_restatements(by_id, execution_time)
    return bool(intervals)

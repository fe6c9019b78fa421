"""What SQLMesh has recorded or removed since an invocation decided what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.recording import (
    FrozenSnapshot,
    RecordedIntervals,
    Recording,
)
from pytest_sqlmesh_tracker.tracking.spans import Span, merged, without


class RecordedByModel:
    """The intervals that SQLMesh has recorded so far, by model; each is looked at once."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._by_model: dict[str, list[RecordedIntervals]] = {}
        self._known = 0

    def of(self, name: str) -> list[RecordedIntervals]:
        """What has been recorded of a model by now."""
        recorded = self.recording.recorded
        while self._known < len(recorded):
            latest = recorded[self._known]
            self._by_model.setdefault(latest.name, []).append(latest)
            self._known += 1
        return self._by_model.get(name, [])

    def elsewhere(self) -> frozenset[str]:
        """Models with a recorded batch whose intervals bypassed SQLMesh's own state sync, so that
        the table in which they count is unknown."""
        rounds = [round_ for round_ in self.recording.rounds if not round_.audit_only]
        ended = {
            name for round_ in rounds for (name, _), end in round_.ends.items() if end.recorded
        }
        return frozenset(name for name in ended if not self.of(name))


class UpdatedSnapshots(Mapping[str, FrozenSnapshot]):
    """Snapshots, updated with the intervals that SQLMesh has since recorded or removed.

    Models for which these are unknown (`RecordedByModel.elsewhere`) are left out. A model is
    updated when it is first looked up: while an invocation is running, few are.
    """

    def __init__(self, before: Mapping[str, FrozenSnapshot], recorded: RecordedByModel) -> None:
        self._before = before
        self._recorded = recorded
        self._updated: dict[str, FrozenSnapshot | None] = {}

    def __getitem__(self, name: str) -> FrozenSnapshot:
        if name not in self._updated:
            self._updated[name] = self._update(name)
        snapshot = self._updated[name]
        if snapshot is None:
            raise KeyError(name)
        return snapshot

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._before if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _update(self, name: str) -> FrozenSnapshot | None:
        frozen, recording = self._before[name], self._recorded.recording
        plan, recorded = recording.plan, self._recorded.of(name)
        if plan and recording.rounds and compat.restates_state_first():
            restated = plan.search.restatements.get(name)
            frozen = _removing(frozen, restated) if restated else frozen
        for each in recorded:
            if frozen.snapshot.version == each.version:
                frozen = _adding(frozen, each.intervals, each.dev_intervals)
        return None if not recorded and _has_recorded_batches(recording, name) else frozen


def _has_recorded_batches(recording: Recording, name: str) -> bool:
    rounds = [round_ for round_ in recording.rounds if not round_.audit_only]
    return any(end.recorded for round_ in rounds for end in round_.ends_of(name))


def _adding(
    frozen: FrozenSnapshot, intervals: Iterable[Span], dev_intervals: Iterable[Span]
) -> FrozenSnapshot:
    return replace(
        frozen,
        intervals=tuple(merged([*frozen.intervals, *intervals])),
        dev_intervals=tuple(merged([*frozen.dev_intervals, *dev_intervals])),
    )


def _removing(frozen: FrozenSnapshot, span: Span) -> FrozenSnapshot:
    return replace(frozen, intervals=tuple(without(frozen.intervals, [span])))

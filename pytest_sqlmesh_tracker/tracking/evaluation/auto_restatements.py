"""What a run restates automatically, by the `auto_restatement_cron`s of its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlmesh.core.snapshot import apply_auto_restatements

from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import Span, without


@dataclass(frozen=True)
class AutoRestatement:
    """What a run's automatic restatements removed from a model before the run decided."""

    spans: tuple[Span, ...]
    triggers: tuple[str, ...]
    """The models whose own `auto_restatement_cron` was due: this one, or models upstream."""


@dataclass(frozen=True)
class AutoRestatements:
    """What SQLMesh restates automatically in one run (`apply_auto_restatements`)."""

    recording: Recording
    compared: Snapshots
    stored: Snapshots

    def removed(self, name: str) -> list[Span]:
        """What was loaded but counts as missing for the run, because of its own restatements or
        those of an earlier run that did not evaluate the model."""
        if self.recording.decision is None or name not in self.stored.frozen:
            return []
        return without(self.stored.loaded(name), self.compared.loaded(name))

    def of(self, name: str) -> AutoRestatement | None:
        """What this run's own restatements remove; None if nothing."""
        return self._restated.get(name)

    def reported_triggers(self, name: str) -> tuple[str, ...] | None:
        """The models that SQLMesh reports as the triggers; None if it reports none."""
        ends = [end for round_ in self.recording.rounds for end in round_.ends_of(name)]
        triggers = [end.triggers for end in ends if end.triggers]
        return triggers[-1] if triggers else None

    @cached_property
    def _restated(self) -> Mapping[str, AutoRestatement]:
        """The restatements, applied again to what the state contained."""
        decision = self.recording.decision
        assert decision is not None
        at = decision.search.execution_time
        thawed = [frozen.thawed() for frozen in self.stored.frozen.values()]
        due: dict[str, bool] = {}
        for snapshot in thawed:
            snapshot.pending_restatement_intervals = []
            due[snapshot.name] = bool(snapshot.get_next_auto_restatement_interval(at))
        apply_auto_restatements({snapshot.snapshot_id: snapshot for snapshot in thawed}, at)
        spans = {snapshot.name: snapshot.pending_restatement_intervals for snapshot in thawed}
        triggers: dict[str, tuple[str, ...]] = {}

        def triggers_of(name: str) -> tuple[str, ...]:
            if name not in triggers:
                parents = [parent for parent in self.stored.parents(name) if spans.get(parent)]
                above = [trigger for parent in parents for trigger in triggers_of(parent)]
                triggers[name] = (name,) if due[name] else tuple(dict.fromkeys(above))
            return triggers[name]

        return {
            name: AutoRestatement(tuple(restated), triggers_of(name))
            for name, restated in spans.items()
            if restated
        }

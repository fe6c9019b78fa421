"""Why models that were due were not scheduled, or only for a part of what was due.

`Scheduler.batch_intervals` calls the model's signals and drops what they or a signal upstream held
back, and everything that follows if the model depends on its past (sqlmesh/core/scheduler.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlmesh.core.scheduler import interval_diff

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import Recording, Round
from pytest_sqlmesh_tracker.tracking.spans import (
    Span,
    as_intervals,
    merged,
    overlaps,
    units,
    without,
)

from .finding import Finding, UnexplainedError


class Unscheduled:
    """What was due in an invocation but not scheduled, and why."""

    def __init__(self, recording: Recording) -> None:
        self._rounds = [r for r in recording.latest_rounds if r.batches is not None]
        self._unready: dict[int, _Unready] = {}

    def finding_if_nothing_scheduled(self, name: str) -> Finding | None:
        """Why nothing of the model was scheduled; None if the model was not due.

        Raises:
            UnexplainedError: neither signals nor the model's own past account for it.
        """
        if not any(name in (round_.batches or ()) for round_ in self._rounds):
            return None
        finding = self.finding(name)
        if not finding.reasons:
            raise UnexplainedError("SQLMesh held it back without giving a reason")
        return finding

    def finding(self, name: str) -> Finding:
        """Why something due was not scheduled; without reasons if all was, or nothing was due.

        Raises:
            UnexplainedError: neither signals nor the model's own past account for it.
        """
        round_ = self._latest(name)
        return self._finding_in(round_, name) if round_ else Finding(Status.SKIPPED)

    def finding_with_status(self, name: str, status: Status) -> Finding:
        """The finding with another status than `skipped`; without reasons if they are unknown."""
        try:
            return replace(self.finding(name), status=status)
        except UnexplainedError:
            return Finding(status)

    def spans(self, name: str) -> list[Span]:
        """What of the model was due but not scheduled."""
        round_ = self._latest(name)
        if round_ is None:
            return []
        return without((round_.due or {})[name], (round_.batches or {})[name])

    def _latest(self, name: str) -> Round | None:
        """The latest round in which the model was due."""
        return next((r for r in reversed(self._rounds) if name in (r.due or ())), None)

    def _finding_in(self, round_: Round, name: str) -> Finding:
        finding = Finding(Status.SKIPPED)
        snapshot = round_.snapshots[name]
        unready = self._unready.setdefault(id(round_), _Unready(round_))
        due, scheduled = (round_.due or {})[name], (round_.batches or {})[name]
        if not without(due, scheduled) and not without(scheduled, due):
            return finding
        due_units = units(due, snapshot.node.interval_unit)
        own, upstream = unready.own(name), unready.upstream(name)
        let_through = [unit for unit in due_units if not overlaps(unit, own)]
        barred = merged([*own, *upstream])
        kept = interval_diff(let_through, barred, uninterrupted=snapshot.depends_on_past)
        if without(kept, scheduled) or without(scheduled, kept):
            raise UnexplainedError("SQLMesh left out due intervals without giving a reason")
        if len(let_through) < len(due_units):
            signals = {signal: as_intervals(held) for signal, held in unready.signals(name).items()}
            finding = replace(finding, signals=signals)
            finding = finding.because(Reason.SIGNAL_NOT_READY, "observed")
        blocked = [unit for unit in let_through if unit not in kept]
        after_gap = [unit for unit in blocked if not overlaps(unit, upstream)]
        # In a coarser model, `interval_diff` can also leave out what follows the unready interval.
        passed_on = len(after_gap) < len(blocked) or not snapshot.depends_on_past
        if upstream and blocked and passed_on:
            finding = replace(finding, blocked_by=unready.roots(name, blocked))
            finding = finding.because(Reason.UPSTREAM_NOT_READY, "observed")
        if after_gap and snapshot.depends_on_past:
            finding = finding.because(Reason.DEPENDS_ON_PAST_GAP, "inferred")
        return finding


class _Unready:
    """What signals held back in a round, for each model and for the models upstream of it."""

    def __init__(self, round_: Round) -> None:
        self._round = round_
        self._all: dict[str, list[Span]] = {}

    def signals(self, name: str) -> dict[str, list[Span]]:
        """What each of the model's own signals held back; those that held back nothing are left
        out."""
        checks = self._round.signals.get(name, [])
        held = {check.signal: without(check.checked, check.ready) for check in checks}
        return {signal: spans for signal, spans in held.items() if spans}

    def own(self, name: str) -> list[Span]:
        """What the model's own signals held back."""
        return [span for spans in self.signals(name).values() for span in spans]

    def upstream(self, name: str) -> list[Span]:
        """What signals of upstream models held back; only parents that were due pass it on."""
        return [span for parent in self._parents(name) for span in self._own_and_upstream(parent)]

    def roots(self, name: str, blocked: Sequence[Span]) -> tuple[str, ...]:
        """The upstream models whose own signals held back some of these spans, nearest first."""
        roots: dict[str, None] = {}
        queue, seen = self._parents(name), {name}
        while queue:
            parent = queue.pop(0)
            if parent not in seen:
                seen.add(parent)
                if any(overlaps(unit, self.own(parent)) for unit in blocked):
                    roots[parent] = None
                queue += self._parents(parent)
        return tuple(roots)

    def _own_and_upstream(self, name: str) -> list[Span]:
        if name not in self._all:
            self._all[name] = []
            self._all[name] = merged(self.own(name) + self.upstream(name))
        return self._all[name]

    def _parents(self, name: str) -> list[str]:
        return [parent for parent in self._round.parents(name) if parent in (self._round.due or ())]

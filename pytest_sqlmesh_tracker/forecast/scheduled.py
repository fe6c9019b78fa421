"""A model as SQLMesh's scheduler sees it, and what has been loaded of it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, merged, without

from .crons import CronTicks
from .lifetimes import DAY, End, Start
from .units import Unit


@dataclass(frozen=True)
class Terms:
    """Everything in a model's definition that determines when which intervals are missing.

    Models with equal terms and equal intervals are scheduled alike.
    """

    unit: Unit
    cron: CronTicks
    start: Start
    end: End | None
    has_model_end: bool
    """Whether the end is that of a model: SQLMesh ignores a standalone audit's in one place."""
    lookback: int
    allow_partials: bool
    is_seed: bool
    evaluatable: bool
    reads_preview: bool
    """Whether the intervals of the preview count as loaded (`DeployabilityIndex`)."""
    writes_preview: bool
    """Whether an evaluation is recorded for the preview."""


@dataclass(frozen=True)
class ScheduledModel:
    """A model or a standalone audit of an environment."""

    fqn: str
    terms: Terms
    parents: tuple[str, ...]
    """Fully qualified names of those in the environment."""
    depends_on_past: bool
    only_audited: bool
    """Whether only its audits ever run."""
    snapshot: Any
    """SQLMesh's, for what is computed by its own functions."""

    @property
    def has_table(self) -> bool:
        """Whether its evaluation creates the table or view that others read."""
        if not self.snapshot.is_model or self.snapshot.is_symbolic:
            return False
        # SQLMesh creates the others in each run (`Scheduler.run_merged_intervals`).
        return not self.terms.reads_preview

    @property
    def reads_tables(self) -> bool:
        """Whether it fails without the tables of its parents; what Python reads is unknown."""
        return not self.snapshot.is_model or bool(self.snapshot.model.is_sql)


class Missing(NamedTuple):
    """What of a model is missing at a moment."""

    spans: Sequence[Span]
    """Merged. A span that ends before it starts is what SQLMesh schedules for a model that has not
    reached its first tick; its evaluation fails."""
    look_again: Millis | None
    """The first moment at which time alone can add something; None if it never does."""


class Progress:
    """What is loaded of a model, at the current moment of a forecast."""

    def __init__(
        self, loaded: Sequence[Span], previewed: Sequence[Span], pending: Sequence[Span]
    ) -> None:
        self.loaded = list(loaded)
        self.previewed = list(previewed)
        self.pending = list(pending)
        """What automatic restatements have removed, and no run has loaded again."""

    @property
    def has_begun(self) -> bool:
        """Whether anything was ever loaded."""
        return bool(self.loaded or self.previewed)

    def copy(self) -> Progress:
        """The same intervals, to which others can be added."""
        return Progress(self.loaded, self.previewed, self.pending)

    def key(self, terms: Terms, at: Millis) -> object:
        """Equal for models that are scheduled alike from a moment on, if nothing else happens."""
        counted = self.counted(terms)
        if _start_is_over(terms, counted, at):
            terms = replace(terms, start=Start(None))
            return terms, counted[-1][1]
        return terms, tuple(self.loaded), tuple(self.previewed), tuple(self.pending)

    def counted(self, terms: Terms) -> Sequence[Span]:
        """The intervals that count as loaded."""
        if terms.reads_preview:
            return self.previewed
        return without(self.loaded, self.pending) if self.pending else self.loaded

    def through(self, terms: Terms, at: Millis) -> Millis | None:
        """The end of what is loaded without a gap from the model's start on; None if nothing is.

        What an automatic restatement has removed counts as loaded here.
        """
        spans = self.previewed if terms.reads_preview else self.loaded
        if len(spans) > 1:
            start = terms.start.at(at)
            return next((end for _, end in merged(spans) if end > start), spans[-1][1])
        return spans[0][1] if spans else None

    def record(self, terms: Terms, span: Span) -> None:
        """Record an evaluation, as SQLMesh does (`Snapshot.add_interval`)."""
        start, end = span
        if not terms.allow_partials:
            start, end = terms.unit.ceil(start), terms.unit.floor(end)
        if start >= end:
            return
        spans = self.previewed if terms.writes_preview else self.loaded
        if spans and spans[-1][1] == start:
            # Most often, the next interval.
            spans[-1] = spans[-1][0], end
        else:
            spans[:] = merged([*spans, (start, end)])
        if self.pending and not terms.writes_preview:
            self.pending = without(self.pending, [(start, end)])


def _start_is_over(terms: Terms, counted: Sequence[Span], at: Millis) -> bool:
    """Whether a model is loaded so far that its start no longer matters."""
    start, unit = terms.start.fixed, terms.unit
    if start is None or terms.start.moves or terms.end is not None or len(counted) != 1:
        return False
    if terms.reads_preview != terms.writes_preview or not terms.evaluatable:
        return False
    (low, high) = counted[0]
    reach = (terms.lookback + 1) * unit.longest
    return low <= unit.floor(start) and high - reach >= start and at - unit.shortest >= start


def can_start_after_last_tick(terms: Terms, progress: Progress) -> bool:
    """Whether SQLMesh can schedule a span of the model that ends before it starts, which fails.

    A start that moves with the clock can pass the last tick while the model is not run.
    """
    counted, start = progress.counted(terms), terms.start
    if not counted or start.relative:
        return True
    return start.fixed is not None and start.fixed > counted[-1][1]


def missing_at(terms: Terms, progress: Progress, at: Millis) -> Missing:
    """What a run at a moment finds missing, by the rule of SQLMesh's `Snapshot.missing_intervals`.

    A run of an environment passes neither a start nor an end, so that the end is the moment itself.
    """
    if not terms.evaluatable:
        return Missing((), None)
    start = terms.start.at(at)
    cron, unit = terms.cron, terms.unit
    if start > at:
        return Missing((), start if not terms.start.moves else cron.next(at))
    floor = cron.floor(at)
    # By a clock change, the floor can lie in the future.
    look_again = cron.next(at) if floor <= at else at + 1
    end, includes_day, last = at, False, None
    if terms.end is not None:
        own_end = terms.end.at(at)
        if terms.end.moves:
            look_again = at + 1
        if start > own_end:
            return Missing((), look_again if terms.start.moves or terms.end.moves else None)
        if own_end < at:
            end, includes_day = own_end, terms.end.is_day
        if terms.has_model_end:
            last = terms.end.exclusive_at(at)
    if not includes_day and not terms.allow_partials and end - start < unit.shortest:
        later = start + unit.shortest
        return Missing((), look_again if terms.start.moves else min(look_again, later))
    counted = progress.counted(terms)
    if terms.is_seed and counted:
        return Missing((), None)
    begin = unit.floor(start)
    if includes_day:
        end += DAY
    if not terms.allow_partials:
        end, floor = unit.ceil(end), unit.floor(floor)
    end = min(end, floor)
    if end > begin:
        return Missing(unit.missing(counted, begin, end, terms.lookback, last), look_again)
    if end == begin or any(low <= begin and end <= high for low, high in counted):
        return Missing((), look_again)
    # SQLMesh makes an interval that ends before it starts (`expand_range`).
    spans = [(begin, end)] if last is None or begin < last else []
    return Missing(spans, look_again)

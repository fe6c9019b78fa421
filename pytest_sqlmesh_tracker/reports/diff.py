"""Differences between two reports, or two sets of reports. Does not import SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple, get_args

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import Command, Completion
from pytest_sqlmesh_tracker.outcomes.types import Frozen, Seconds, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.wording.formats import quantity

from .files import ReportLike, entry
from .outcomes import ModelOutcome
from .report import RunReport

ChangeKind = Literal[
    "no_longer_executed",
    "newly_executed",
    "changed_status",
    "changed_reason",
    "changed_cause",
    "no_longer_listed",
    "newly_listed",
    "slower",
    "faster",
    "changed_rows",
]
"""How a model can differ. The first four exclude each other. `changed_cause` (the primary cause
differs) and the last three apply to models that executed on both sides, and can occur together."""


class Change(Frozen):
    """One difference in one model."""

    kind: ChangeKind
    model: str
    """The name in the new report, or in the old one if only that lists the model."""
    old: ModelOutcome | None = None
    """None if the model was not listed."""
    new: ModelOutcome | None = None


class Invocations(Frozen):
    """One side of a comparison: an invocation, or several that are taken together."""

    test: str | None = None
    """The node id of the test that made them."""
    number: int | None = None
    """The position among the test's invocations of this command and environment, from 1."""
    command: Command
    environment: str
    reports: int
    """The number of invocations; more than one only if no test made them."""
    execution_time: UtcDatetime
    """The execution time of the latest one, as are `completion` and `error`."""
    completion: Completion
    error: str | None = None
    duration: Seconds
    """The sum of their durations."""


class Comparison(Frozen):
    """Invocations from the old reports, and the new ones they were compared with."""

    old: Invocations
    new: Invocations
    models: int
    """The number of models listed on either side, except those `not_evaluatable` on both."""
    changes: tuple[Change, ...] = ()
    """By kind, in the order of `ChangeKind`; within a kind, in the order of the new reports."""

    @property
    def ended_differently(self) -> bool:
        """Whether the latest invocations have different completions."""
        return self.old.completion != self.new.completion

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.ended_differently


class Difference(Frozen):
    """The differences between old and new reports. False if there are none."""

    comparisons: tuple[Comparison, ...] = ()
    """All comparisons, including those without differences."""
    only_old: tuple[Invocations, ...] = ()
    """Invocations without a counterpart in the new reports; their models are not compared."""
    only_new: tuple[Invocations, ...] = ()

    def __bool__(self) -> bool:
        return not self.empty

    @property
    def empty(self) -> bool:
        """Whether no model and no completion differs, and no invocation is on one side only."""
        alone = self.only_old or self.only_new
        return not alone and all(comparison.empty for comparison in self.comparisons)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all comparisons."""
        return tuple(change for compared in self.comparisons for change in compared.changes)

    @property
    def summary(self) -> str:
        """One line: `2 no longer executed, 1 slower (12 models in 1 comparison)`."""
        kinds = Counter(change.kind for change in self.changes)
        ended = sum(comparison.ended_differently for comparison in self.comparisons)
        parts = [f"{kinds[k]:,} {k.replace('_', ' ')}" for k in get_args(ChangeKind) if kinds[k]]
        if ended:
            parts.append(f"{quantity(ended, 'invocation')} ended differently")
        for side, alone in (("old", self.only_old), ("new", self.only_new)):
            if alone:
                invocations = quantity(sum(one.reports for one in alone), "invocation")
                parts.append(f"{invocations} only in the {side} reports")
        models = quantity(sum(compared.models for compared in self.comparisons), "model")
        compared = f"{models} in {quantity(len(self.comparisons), 'comparison')}"
        return f"{', '.join(parts) or 'no differences'} ({compared})"

    def to_dict(self) -> dict[str, Any]:
        """The difference as a dictionary for JSON, with `empty` and `summary`."""
        return {"empty": self.empty, "summary": self.summary, **self.model_dump(mode="json")}


def compare(
    old: Iterable[ReportLike],
    new: Iterable[ReportLike],
    *,
    slower_by: float = 1.5,
    slower_than: timedelta = timedelta(seconds=1),
) -> Difference:
    """Compare two reports, or two sets of them, such as yesterday's and today's.

    **What is compared with what.** Invocations that a test made are compared with those of the same
    test: the first run of prod with the first run of prod, the second with the second. For all
    others, all runs of prod are compared with all runs of prod. If each side has only one
    environment left for a command (of a test, or outside tests), these invocations are compared
    although their environments differ (`ci_main` with `ci_branch`). Two sets of a single kind each
    are always compared. Invocations without a counterpart are in `only_old` and `only_new`.

    **Several invocations together.** A model's outcome is its latest one that was not a skip for an
    expected reason: a daily model that executed once and was not due in 23 hourly runs has executed
    that day. If all were such skips, the latest one counts.

    **Repeated tries.** Reports that are `superseded` are left out: the last tries are compared.

    **Which model is which.** Models are matched by fully qualified names, and the remaining ones by
    the names shown, as the default catalog may differ between machines.

    Args:
        old: each a `RunReport`, or a pair of its test's node id and the report, as `load_reports`
            returns them.
        new: the same.
        slower_by: a model is slower when its duration grew by this factor or more, and faster the
            other way; its number of rows changed when it grew or shrank by it. 1 or more.
        slower_than: the smallest difference in duration that counts.

    Raises:
        TypeError: an entry is not a report.
        ValueError: `slower_by` is less than 1.
    """
    if not slower_by >= 1:
        raise ValueError(f"slower_by must be a factor of at least 1, not {slower_by:g}")
    thresholds = _Thresholds(slower_by, slower_than.total_seconds())
    before, after = _grouped(old), _grouped(new)
    pairs = _paired(before, after)
    old_of = {new_key: old_key for old_key, new_key in pairs.items()}
    return Difference(
        comparisons=tuple(
            _compared(before[old_of[key]], group, thresholds)
            for key, group in after.items()
            if key in old_of
        ),
        only_old=tuple(group.facts for key, group in before.items() if key not in pairs),
        only_new=tuple(group.facts for key, group in after.items() if key not in old_of),
    )


class _Key(NamedTuple):
    """What all invocations in a group have in common."""

    test: str | None
    number: int | None
    command: Command
    environment: str


class _Group:
    """Invocations that are taken together."""

    def __init__(self, key: _Key, reports: Iterable[RunReport]) -> None:
        self._key = key
        self._reports = sorted(reports, key=lambda report: report.started_at)

    @property
    def facts(self) -> Invocations:
        """The facts about the group as a whole."""
        latest = self._reports[-1]
        return Invocations(
            **self._key._asdict(),
            reports=len(self._reports),
            execution_time=latest.execution_time,
            completion=latest.completion,
            error=latest.error,
            duration=sum((r.finished_at - r.started_at for r in self._reports), timedelta()),
        )

    @property
    def models(self) -> _Models:
        """Fully qualified name → the model's outcome in the group as a whole."""
        models: dict[str, ModelOutcome] = {}
        unexpected: set[str] = set()
        for outcome in (made for report in self._reports for made in report.outcomes.values()):
            status, reason = outcome.status, outcome.reason
            if status is not Status.SKIPPED or unexpected_by_default(status, reason):
                unexpected.add(outcome.fqn)
            elif outcome.fqn in unexpected:
                continue
            models[outcome.fqn] = outcome
        return models


_Groups = Mapping[_Key, _Group]
_Models = Mapping[str, ModelOutcome]


def _grouped(items: Iterable[ReportLike]) -> _Groups:
    reports: dict[_Key, list[RunReport]] = {}
    numbers: Counter[tuple[str, str, str]] = Counter()
    for one in items:
        test, report = entry(one, "compare")
        if report.superseded:
            continue
        number = None
        if test is not None:
            numbers[test, report.command, report.environment] += 1
            number = numbers[test, report.command, report.environment]
        key = _Key(test, number, report.command, report.environment)
        reports.setdefault(key, []).append(report)
    return {key: _Group(key, made) for key, made in reports.items()}


def _paired(old: _Groups, new: _Groups) -> dict[_Key, _Key]:
    """Key of old invocations → key of the new invocations to compare them with."""
    if len(old) == len(new) == 1:
        return dict(zip(old, new, strict=True))
    pairs = {key: key for key in old if key in new}
    left_old = _by_all_but_environment(key for key in old if key not in pairs)
    left_new = _by_all_but_environment(key for key in new if key not in pairs)
    for alike, keys in left_old.items():
        counterparts = left_new.get(alike, [])
        if len(keys) == len(counterparts) == 1:
            pairs[keys[0]] = counterparts[0]
    return pairs


def _by_all_but_environment(keys: Iterable[_Key]) -> dict[_Key, list[_Key]]:
    alike: dict[_Key, list[_Key]] = {}
    for key in keys:
        alike.setdefault(key._replace(environment=""), []).append(key)
    return alike


class _Thresholds(NamedTuple):
    """The thresholds above which a difference counts."""

    factor: float
    seconds: float

    def slower(self, old: timedelta | None, new: timedelta | None) -> bool:
        """Whether the new duration exceeds the old one by both thresholds."""
        if old is None or new is None:
            return False
        less, more = old.total_seconds(), new.total_seconds()
        return more - less >= self.seconds and self._grew(less, more)

    def rows_differ(self, old: int | None, new: int | None) -> bool:
        """Whether either number exceeds the other by the factor."""
        return old is not None and new is not None and self._grew(*sorted((old, new)))

    def _grew(self, less: float, more: float) -> bool:
        return more > less and more >= self.factor * less


def _compared(old: _Group, new: _Group, thresholds: _Thresholds) -> Comparison:
    pairs = _same_models(old.models, new.models)
    order = get_args(ChangeKind)
    changes = [
        Change(kind=kind, model=name, old=before, new=after)
        for name, before, after in pairs
        for kind in _kinds(before, after, thresholds)
    ]
    changes.sort(key=lambda change: order.index(change.kind))
    return Comparison(old=old.facts, new=new.facts, models=len(pairs), changes=tuple(changes))


_Pair = tuple[str, ModelOutcome | None, ModelOutcome | None]


def _same_models(old: _Models, new: _Models) -> list[_Pair]:
    """The name and both outcomes of every model that counts on either side, in the new order;
    models that only the old side has come last."""
    left = {fqn: outcome for fqn, outcome in old.items() if fqn not in new}
    fqns = {outcome.name: fqn for fqn, outcome in left.items()}
    pairs: list[_Pair] = []
    for fqn, outcome in new.items():
        before = old.get(fqn)
        if before is None:
            before = left.pop(fqns.get(outcome.name, fqn), None)
        pairs.append((outcome.name, before, outcome))
    pairs += [(outcome.name, outcome, None) for outcome in left.values()]
    return [pair for pair in pairs if any(outcome and outcome.is_counted for outcome in pair[1:])]


def _kinds(
    old: ModelOutcome | None, new: ModelOutcome | None, thresholds: _Thresholds
) -> Iterator[ChangeKind]:
    if old is None or new is None:
        yield "newly_listed" if old is None else "no_longer_listed"
        return
    before, now = old.status is Status.EXECUTED, new.status is Status.EXECUTED
    if before is not now:
        yield "no_longer_executed" if before else "newly_executed"
    elif old.status is not new.status:
        yield "changed_status"
    elif old.reason is not new.reason:
        yield "changed_reason"
    if before and now:
        if old.cause and new.cause and old.cause is not new.cause:
            yield "changed_cause"
        if thresholds.slower(old.duration, new.duration):
            yield "slower"
        if thresholds.slower(new.duration, old.duration):
            yield "faster"
        if thresholds.rows_differ(old.rows, new.rows):
            yield "changed_rows"

"""What differs between two reports, or two sets of them. Knows no SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple, get_args

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import Command, Completion
from pytest_sqlmesh_tracker.outcomes.types import Frozen, Seconds, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.wording.formats import counted

from .files import Given, entry
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
"""What may differ of a model. The first four exclude each other; `changed_cause` (of the primary
one) and the last three are of models that executed on both sides, and may hold together."""


class Change(Frozen):
    """One difference of one model."""

    kind: ChangeKind
    model: str
    """As the new report shows it; the old one, if it is no longer listed."""
    old: ModelOutcome | None = None
    """None where the model was not listed."""
    new: ModelOutcome | None = None


class Invocations(Frozen):
    """One side of a comparison: an invocation, or several that are taken together."""

    test: str | None = None
    """Node id of the test that made them."""
    number: int | None = None
    """Which of its test's invocations of this command and environment it is, from 1."""
    command: Command
    environment: str
    reports: int
    """How many they are; more than one only where no test made them."""
    execution_time: UtcDatetime
    """Of the latest, as are `completion` and `error`."""
    completion: Completion
    error: str | None = None
    duration: Seconds
    """How long they took altogether."""


class Comparison(Frozen):
    """Invocations of the old reports, and what they were compared with."""

    old: Invocations
    new: Invocations
    models: int
    """How many models either side lists, without those that are `not_evaluatable` on both."""
    changes: tuple[Change, ...] = ()
    """By kind, in the order of `ChangeKind`; within one as the new reports list them."""

    @property
    def ended_differently(self) -> bool:
        """Whether the latest invocations have different completions."""
        return self.old.completion != self.new.completion

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.ended_differently


class Difference(Frozen):
    """What differs between old and new reports. False where nothing does."""

    comparisons: tuple[Comparison, ...] = ()
    """All that could be compared, also those in which nothing differs."""
    only_old: tuple[Invocations, ...] = ()
    """Invocations that the new reports have no counterpart of; their models are not compared."""
    only_new: tuple[Invocations, ...] = ()

    def __bool__(self) -> bool:
        return not self.empty

    @property
    def empty(self) -> bool:
        """Whether nothing differs: no model, no completion, and nothing is on one side only."""
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
            parts.append(f"{counted(ended, 'invocation')} ended differently")
        for side, alone in (("old", self.only_old), ("new", self.only_new)):
            if alone:
                invocations = counted(sum(one.reports for one in alone), "invocation")
                parts.append(f"{invocations} only in the {side} reports")
        models = counted(sum(compared.models for compared in self.comparisons), "model")
        compared = f"{models} in {counted(len(self.comparisons), 'comparison')}"
        return f"{', '.join(parts) or 'no differences'} ({compared})"

    def to_dict(self) -> dict[str, Any]:
        """The difference as JSON-ready values, with `empty` and `summary`."""
        return {"empty": self.empty, "summary": self.summary, **self.model_dump(mode="json")}


def compare(
    old: Iterable[Given],
    new: Iterable[Given],
    *,
    slower_by: float = 1.5,
    slower_than: timedelta = timedelta(seconds=1),
) -> Difference:
    """Compare two reports, or two sets of them, such as yesterday's and today's.

    **What is compared with what.** Invocations that a test made: with those of the same test, the
    first run of prod with the first run of prod, the second with the second. Others: all runs of
    prod with all runs of prod. Where a test, or what no test made, has only one kind of invocation
    of a command left on each side, these are compared though their environments differ (`ci_main`
    with `ci_branch`); and two sets of a single kind each are compared whatever they are of. What
    has no counterpart is in `only_old` and `only_new`.

    **Several invocations together.** A model's outcome is its latest one that was not a skip for an
    expected reason: a daily model that executed once and was not due in 23 hourly runs has executed
    that day. If all were such skips, it is the latest.

    **Repeated tries.** Reports that are `superseded` are left out: the last tries are compared.

    **Which model is which**: by fully qualified names, and those that are left by the names shown,
    as the default catalog of two machines may differ.

    Args:
        old: each a `RunReport`, or a pair of its test's node id and the report, as `load_reports`
            returns them.
        new: the same.
        slower_by: a model is slower when its duration grew by this factor or more, and faster the
            other way; its number of rows changed when it grew or shrank by it. 1 or more.
        slower_than: the least difference of durations that counts.

    Raises:
        TypeError: something else than reports.
        ValueError: `slower_by` is less than 1.
    """
    if not slower_by >= 1:
        raise ValueError(f"slower_by is a factor of at least 1, not {slower_by:g}")
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
    """What invocations that are taken together have in common."""

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
        """The facts of all of them together."""
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
        """Fully qualified name → what all of them together say of the model."""
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


def _grouped(reports_given: Iterable[Given]) -> _Groups:
    reports: dict[_Key, list[RunReport]] = {}
    numbers: Counter[tuple[str, str, str]] = Counter()
    for one in reports_given:
        test, report = entry(one, "what is compared are")
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
    """Key of the old → key of the new invocations that they are compared with."""
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
    """From when on a difference counts."""

    factor: float
    seconds: float

    def slower(self, old: timedelta | None, new: timedelta | None) -> bool:
        """Whether the new duration is longer by both."""
        if old is None or new is None:
            return False
        less, more = old.total_seconds(), new.total_seconds()
        return more - less >= self.seconds and self._grew(less, more)

    def rows_differ(self, old: int | None, new: int | None) -> bool:
        """Whether one number is larger by the factor."""
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
    """Name, old and new outcome of every model that counts on a side; in the new order, then what
    is only in the old."""
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

"""Histories and findings in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pytest_sqlmesh_tracker.sandbox.data.wording import Sides, aligned, described
from pytest_sqlmesh_tracker.wording.formats import listed

from .diagnosing import Finding, Sort
from .steps import Change, Failure, History, Restate, Step, time_of

_SIDES = Sides(
    "too much",
    "missing",
    "{0} after the history, {1} after one load",
    "{0}, not {1}",
)
_MENDED_BY = {
    Sort.DEPENDS_ON_HISTORY: "a restatement of everything",
    Sort.NOT_MENDED: "nothing: a restatement of everything leaves other rows, too",
    Sort.NOT_DETERMINISTIC: "nothing: a second load of everything gives other rows, too",
}


def finding_in_words(finding: Finding, begin: datetime) -> str:
    """A model whose rows depend on the history: which history, and which rows.

    Args:
        begin: when the history begins, in UTC.
    """
    headline = f"{finding.model} {_VERBS[finding.sort]}"
    facts = [
        ("history", "\n".join(steps_in_words(finding.history, begin))),
        ("compared with", "one load of everything at its end"),
        ("mended by", _MENDED_BY[finding.sort]),
    ]
    if finding.error is not None:
        facts.append(("at its end", f"the model fails: {finding.error}"))
    if finding.difference is None:
        text = "\n".join([headline, *aligned(facts)])
    else:
        text = described(headline, finding.difference, _SIDES, facts=facts)
    return f"{text}\n\n  to play it again\n    replay(project, {finding.history})"


_VERBS = {
    Sort.DEPENDS_ON_HISTORY: "depends on history",
    Sort.NOT_MENDED: "depends on history, and is not mended by a restatement",
    Sort.NOT_DETERMINISTIC: "is not deterministic",
}


def steps_in_words(history: History, begin: datetime) -> Iterator[str]:
    """A history as lines: its steps and its end, with their times.

    Args:
        begin: when the history begins, in UTC.
    """
    latest = begin
    for step in history.steps:
        latest = max(latest, time_of(step, begin))
        details = "; ".join([_action(step, begin), *_what_goes_wrong(step)])
        yield f"{_shown(latest)}  {details}"
    end = max(latest, begin + timedelta(days=history.days))
    yield f"{_shown(end)}  run with ignore_cron, which loads what is missing"


def _action(step: Step, begin: datetime) -> str:
    if isinstance(step, Change):
        return f"{step.path} is changed and planned"
    if isinstance(step, Restate):
        return f"{step.model or 'everything'} is restated{_range(step, begin)}"
    return "run with ignore_cron" if step.ignore_cron else "run"


def _range(step: Restate, begin: datetime) -> str:
    first, last = (
        None if day is None else (begin + timedelta(days=day)).date()
        for day in (step.first, step.last)
    )
    if first is not None and first == last:
        return f" for {first}"
    return "".join([f" from {first}" if first else "", f" to {last}" if last else ""])


def _what_goes_wrong(step: Step) -> Iterator[str]:
    yield from map(_failure, step.failures)
    if step.held:
        verb = "is" if len(step.held) == 1 else "are"
        yield f"{listed(list(map(str, step.held)))} {verb} held back"


def _failure(failure: Failure) -> str:
    batch = "" if failure.batch is None else f" in batch {failure.batch}"
    if failure.audit is not None:
        return f"audit {failure.audit} of {failure.model} fails{batch}"
    when = "after its rows were written" if failure.after_write else "before its rows are written"
    return f"{failure.model} fails{batch}, {when}"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"

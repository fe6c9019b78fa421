"""Hypothesis strategies for whole reports: anything that the types allow, likely or not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import (
    AuditOutcome,
    Batch,
    Cause,
    ModelOutcome,
    Reason,
    RunReport,
    Status,
)
from pytest_sqlmesh_tracker.outcomes.invocation import Command, Completion, EnvironmentState
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Evidence

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests that draw whole reports."""

texts = st.text(max_size=30)
model_names = st.text("abcXYZ._ \"'`*é\n", min_size=1, max_size=12)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def after_epoch(unit: timedelta) -> st.SearchStrategy[datetime]:
    return st.integers(1, timedelta(days=84_000) // unit).map(lambda number: EPOCH + number * unit)


# Whole days, whole minutes, and any; of one number each, which is drawn faster than a date is.
moments = st.one_of(
    *map(after_epoch, (timedelta(days=1), timedelta(minutes=1), timedelta(microseconds=1)))
)
durations = st.integers(0, timedelta(days=3) // timedelta(microseconds=1)).map(
    lambda number: timedelta(microseconds=number)
)
counts = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def maybe(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | inner


def several(inner: st.SearchStrategy[Any], unique: bool = False) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3, unique=unique).map(tuple)


# Strategies are made here, once: made while a report is drawn, they cost more than what they draw.
flags = st.booleans()
statuses = st.sampled_from(Status)
evidences = st.sampled_from(get_args(Evidence))
several_texts = several(texts)
several_names = several(model_names)
intervals = st.lists(moments, min_size=2, max_size=2, unique=True).map(
    lambda ends: Interval(*sorted(ends))
)
several_intervals = several(intervals)
batches = st.builds(
    lambda interval, **values: Batch(start=interval.start, end=interval.end, **values),
    intervals,
    index=st.integers(0, 100),
    round=st.integers(0, 1),
    status=statuses,
    duration=maybe(durations),
    rows=maybe(counts),
    bytes=maybe(counts),
    audits_passed=st.integers(0, 9),
    audits_failed=st.integers(0, 9),
)
audits = st.builds(
    AuditOutcome,
    name=texts,
    arguments=st.dictionaries(texts, texts, max_size=2),
    blocking=flags,
    passed=flags,
    rows_failed=counts,
)


def in_order(members: type[Reason] | type[Cause]) -> st.SearchStrategy[Any]:
    """Some of them, in order of precedence."""
    places = list(members)
    chosen = several(st.sampled_from(members), unique=True)
    return chosen.map(lambda some: tuple(sorted(some, key=places.index)))


several_reasons, several_causes = in_order(Reason), in_order(Cause)
independent_facts = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["full", "external", "embedded", "audit", "view"]) | texts,
        "file": maybe(st.just("models/orders.sql") | texts),
        "cron": maybe(st.just("@daily")),
        "status": statuses,
        "message": st.just("") | texts,
        "note": maybe(texts),
        "partial": flags,
        "local_edit": flags,
        "restated_by": several_names,
        "changed_by": several_names,
        "upstream_behind": st.dictionaries(model_names, several_intervals, max_size=2),
        "loaded_through": maybe(moments),
        "waiting_since": maybe(moments),
        "next_due": maybe(moments),
        "held_back": several_intervals,
        "blocked_by": several_names,
        "signals": st.dictionaries(texts, several_intervals, max_size=2),
        "change_category": maybe(texts),
        "error": maybe(texts),
        "batches": several(batches),
        "audits": several(audits),
        "rows": maybe(counts),
        "bytes": maybe(counts),
        "duration": maybe(durations),
        "started_at": maybe(moments),
        "finished_at": maybe(moments),
        "start_order": maybe(st.integers(0, 9)),
        "upstream": several_names,
    }
)
"""All facts of an outcome but for its name, its reasons and its causes."""


@st.composite
def outcomes(draw: st.DrawFn, name: str = "sales.orders") -> ModelOutcome:
    """One model's outcome; its reasons are in order of precedence, the first is the primary one."""
    reasons, causes = draw(several_reasons), draw(several_causes)
    return ModelOutcome(
        name=name,
        fqn=f'"wh".{name}',
        reason=reasons[0] if reasons else None,
        reasons=reasons,
        evidence={reason: draw(evidences) for reason in reasons},
        cause=causes[0] if causes else None,
        causes=causes,
        cause_evidence={cause: draw(evidences) for cause in causes},
        intervals_by_cause={cause: draw(several_intervals) for cause in causes},
        **draw(independent_facts),
    )


several_unique_names = st.lists(model_names, max_size=3, unique=True)
facts_of_reports = st.fixed_dictionaries(
    {
        "command": st.sampled_from(get_args(Command)),
        "environment": texts,
        "arguments": st.dictionaries(texts, json_values, max_size=3),
        "execution_time": moments,
        "started_at": moments,
        "finished_at": moments,
        "completion": st.sampled_from(get_args(Completion)),
        "error": maybe(texts),
        "removed": several_names,
        "id": st.uuids(),
        "environment_state": maybe(
            st.builds(EnvironmentState, unfinished_plan=maybe(texts), environments=several_texts)
        ),
        "project_files": st.sampled_from([None, "read", "not_read"]),
        "project_files_note": maybe(texts),
        "superseded": flags,
    }
)
"""All facts of a report but for its models' outcomes."""


@st.composite
def reports(draw: st.DrawFn) -> RunReport:
    """The report of one invocation with up to three models."""
    names = draw(several_unique_names)
    return RunReport(
        outcomes={name: draw(outcomes(name)) for name in names}, **draw(facts_of_reports)
    )

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

unhurried = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests that draw whole reports."""

texts = st.text(max_size=30)
model_names = st.text("abcXYZ._ \"'`*é\n", min_size=1, max_size=12)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(timezone.utc))
durations = st.timedeltas(timedelta(0), timedelta(days=3))
counts = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    start, end = sorted(draw(st.lists(moments, min_size=2, max_size=2, unique=True)))
    return Interval(start, end)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    start, end = draw(intervals())
    return Batch(
        index=draw(st.integers(0, 100)),
        round=draw(st.integers(0, 1)),
        start=start,
        end=end,
        status=draw(st.sampled_from(Status)),
        duration=draw(st.none() | durations),
        rows=draw(st.none() | counts),
        bytes=draw(st.none() | counts),
        audits_passed=draw(st.integers(0, 9)),
        audits_failed=draw(st.integers(0, 9)),
    )


audits = st.builds(
    AuditOutcome,
    name=texts,
    arguments=st.dictionaries(texts, texts, max_size=2),
    blocking=st.booleans(),
    passed=st.booleans(),
    rows_failed=counts,
)


def several(inner: st.SearchStrategy[Any], unique: bool = False) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3, unique=unique).map(tuple)


@st.composite
def outcomes(draw: st.DrawFn, name: str = "sales.orders") -> ModelOutcome:
    """One model's outcome; its reasons are in order of precedence, the first is the primary one."""
    reasons = tuple(
        sorted(draw(several(st.sampled_from(Reason), unique=True)), key=list(Reason).index)
    )
    causes = tuple(
        sorted(draw(several(st.sampled_from(Cause), unique=True)), key=list(Cause).index)
    )
    return ModelOutcome(
        name=name,
        fqn=f'"wh".{name}',
        kind=draw(st.sampled_from(["full", "external", "embedded", "audit", "view"]) | texts),
        cron=draw(st.none() | st.just("@daily")),
        status=draw(st.sampled_from(Status)),
        reason=reasons[0] if reasons else None,
        reasons=reasons,
        evidence={reason: draw(st.sampled_from(get_args(Evidence))) for reason in reasons},
        message=draw(st.just("") | texts),
        note=draw(st.none() | texts),
        partial=draw(st.booleans()),
        local_edit=draw(st.booleans()),
        cause=causes[0] if causes else None,
        causes=causes,
        cause_evidence={cause: draw(st.sampled_from(get_args(Evidence))) for cause in causes},
        intervals_by_cause={cause: draw(several(intervals())) for cause in causes},
        restated_by=draw(several(model_names)),
        changed_by=draw(several(model_names)),
        upstream_behind=draw(st.dictionaries(model_names, several(intervals()), max_size=2)),
        loaded_through=draw(st.none() | moments),
        waiting_since=draw(st.none() | moments),
        next_due=draw(st.none() | moments),
        held_back=draw(several(intervals())),
        blocked_by=draw(several(model_names)),
        signals=draw(st.dictionaries(texts, several(intervals()), max_size=2)),
        change_category=draw(st.none() | texts),
        error=draw(st.none() | texts),
        batches=draw(several(batches())),
        audits=draw(several(audits)),
        rows=draw(st.none() | counts),
        bytes=draw(st.none() | counts),
        duration=draw(st.none() | durations),
        started_at=draw(st.none() | moments),
        finished_at=draw(st.none() | moments),
        start_order=draw(st.none() | st.integers(0, 9)),
        upstream=draw(several(model_names)),
    )


@st.composite
def reports(draw: st.DrawFn) -> RunReport:
    """The report of one invocation with up to three models."""
    names = draw(st.lists(model_names, max_size=3, unique=True))
    return RunReport(
        command=draw(st.sampled_from(get_args(Command))),
        environment=draw(texts),
        arguments=draw(st.dictionaries(texts, json_values, max_size=3)),
        execution_time=draw(moments),
        started_at=draw(moments),
        finished_at=draw(moments),
        completion=draw(st.sampled_from(get_args(Completion))),
        error=draw(st.none() | texts),
        outcomes={name: draw(outcomes(name)) for name in names},
        removed=draw(several(model_names)),
        id=draw(st.uuids()),
        environment_state=draw(
            st.none()
            | st.builds(
                EnvironmentState,
                unfinished_plan=st.none() | texts,
                environments=several(texts),
            )
        ),
        project_files=draw(st.sampled_from([None, "read", "not_read"])),
        project_files_note=draw(st.none() | texts),
        superseded=draw(st.booleans()),
    )

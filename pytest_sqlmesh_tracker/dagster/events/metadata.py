"""The metadata of events about a model, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.formats import spans
from pytest_sqlmesh_tracker.wording.invocations import environment_remedy, existing_environments

from .outcome_record import INTERVALS_LIMIT, InvocationFacts

_REBUILT = frozenset({"full", "seed"})
"""Kinds whose evaluation writes the whole table."""


def outcome_metadata(outcome: ModelOutcome, invocation: InvocationFacts) -> dict[str, Any]:
    """What SQLMesh did with a model, without what is not known."""
    facts: dict[str, Any] = {
        "sqlmesh/status": str(outcome.status),
        "sqlmesh/reason": outcome.reason and str(outcome.reason),
        "sqlmesh/reasons": _several(outcome.reasons),
        "sqlmesh/cause": outcome.cause and str(outcome.cause),
        "sqlmesh/causes": _several(outcome.causes),
        "sqlmesh/restated_by": ", ".join(outcome.restated_by),
        "sqlmesh/changed_by": ", ".join(outcome.changed_by),
        "sqlmesh/message": outcome.message,
        "sqlmesh/next_due": _iso(outcome.next_due),
        "sqlmesh/loaded_through": _iso(outcome.loaded_through),
        "sqlmesh/waiting_since": _iso(outcome.waiting_since),
        "sqlmesh/blocked_by": ", ".join(outcome.blocked_by),
        "sqlmesh/signals": _intervals_by_name(outcome.signals),
        "sqlmesh/held_back": intervals_text(outcome.held_back),
        "sqlmesh/upstream_behind": _intervals_by_name(outcome.upstream_behind),
        "sqlmesh/error": outcome.error,
        "sqlmesh/intervals": intervals_text(outcome.executed_intervals),
        "sqlmesh/batches": len(outcome.recorded_batches) or None,
        "sqlmesh/rows": outcome.rows,
        "sqlmesh/bytes": outcome.bytes,
        "sqlmesh/duration": outcome.duration and outcome.duration.total_seconds(),
        "sqlmesh/local_edit": outcome.local_edit or None,
        "sqlmesh/change_category": outcome.change_category,
        "sqlmesh/environment": invocation.environment,
        "sqlmesh/execution_time": _iso(invocation.execution_time),
        "sqlmesh/ignore_cron": invocation.ignore_cron or None,
    }
    if outcome.kind in _REBUILT and len(outcome.recorded_batches) == 1:
        facts["dagster/row_count"] = outcome.rows
    if outcome.reason in UNREADY_ENVIRONMENT:
        facts |= environment_metadata(invocation.environment, invocation.environment_state)
    return {key: value for key, value in facts.items() if value not in (None, "")}


def environment_metadata(environment: str, state: EnvironmentState | None) -> dict[str, str]:
    """What is known of an environment that could not be run, or that a plan left unfinished."""
    if state is None:
        return {}
    facts = {
        "sqlmesh/unfinished_plan": state.unfinished_plan,
        "sqlmesh/remedy": environment_remedy(environment, state),
        "sqlmesh/environments": existing_environments(state),
    }
    return {key: value for key, value in facts.items() if value is not None}


def intervals_text(intervals: tuple[Interval, ...]) -> str:
    """The intervals in words, the first ones if there are many."""
    return spans(intervals, limit=INTERVALS_LIMIT)


def _several(words: Iterable[object]) -> str:
    """All of them if there are several: a single one has a key of its own."""
    texts = list(map(str, words))
    return ", ".join(texts) if len(texts) > 1 else ""


def _intervals_by_name(intervals: Mapping[str, tuple[Interval, ...]]) -> str:
    return ", ".join(f"{name} ({intervals_text(each)})" for name, each in intervals.items())


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

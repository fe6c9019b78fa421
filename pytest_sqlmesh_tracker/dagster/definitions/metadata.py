"""What Dagster shows of a model, and of what SQLMesh did with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.models.definitions import ModelDefinition
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import spans
from pytest_sqlmesh_tracker.wording.invocations import environment_remedy, existing_environments

MODEL = "sqlmesh/model"
"""The key under which an asset says which model it is."""
IGNORED_CRON = "sqlmesh/ignore_cron"
"""The key under which it is said of an invocation that it did."""
_REBUILT = frozenset({"full", "seed"})
"""Kinds of which an evaluation writes the whole table."""


def definition_metadata(model: ModelDefinition, keys: Mapping[str, dg.AssetKey]) -> dict[str, Any]:
    """What is known of a model before anything runs.

    Args:
        keys: of the models and tables that it reads, by name.
    """
    facts: dict[str, Any] = {
        "sqlmesh/kind": model.kind,
        "sqlmesh/cron": f"{model.cron} {model.cron_tz}" if model.cron_tz else model.cron,
        **_written(model),
        **_columns(model, keys),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _written(model: ModelDefinition) -> dict[str, Any]:
    if model.file is None:
        return {}
    with warnings.catch_warnings():
        # That Dagster may change these classes is nothing to warn our users of.
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=model.file, line_number=1)
        written = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": written}


def _columns(model: ModelDefinition, keys: Mapping[str, dg.AssetKey]) -> dict[str, Any]:
    columns = [
        # Dagster wants a type.
        dg.TableColumn(c.name, type=c.type or "unknown", description=c.description)
        for c in model.columns
    ]
    lineage = {
        column: [
            dg.TableColumnDep(asset_key=keys[source.model], column_name=source.column)
            for source in sources
            if source.model in keys
        ]
        for column, sources in model.lineage.items()
    }
    found: dict[str, Any] = {}
    if columns:
        found["dagster/column_schema"] = dg.TableSchema(columns)
    if any(lineage.values()):
        found["dagster/column_lineage"] = dg.TableColumnLineage(lineage)
    return found


OF_THE_DEFINITION = ("dagster/column_schema", "dagster/column_lineage", "dagster/code_references")
"""What a materialization repeats of its asset's definition."""


def outcome_metadata(outcome: ModelOutcome, report: RunReport | None = None) -> dict[str, Any]:
    """What SQLMesh did with a model; what is not known is left out.

    Args:
        report: of the invocation, when it has ended.
    """
    facts: dict[str, Any] = {
        "sqlmesh/status": str(outcome.status),
        "sqlmesh/reason": outcome.reason and str(outcome.reason),
        "sqlmesh/reasons": ", ".join(map(str, outcome.reasons[1:]))
        and ", ".join(map(str, outcome.reasons)),
        "sqlmesh/cause": outcome.cause and str(outcome.cause),
        "sqlmesh/causes": ", ".join(map(str, outcome.causes[1:]))
        and ", ".join(map(str, outcome.causes)),
        "sqlmesh/restated_by": ", ".join(outcome.restated_by),
        "sqlmesh/changed_by": ", ".join(outcome.changed_by),
        "sqlmesh/message": outcome.message,
        "sqlmesh/next_due": _iso(outcome.next_due),
        "sqlmesh/loaded_through": _iso(outcome.loaded_through),
        "sqlmesh/waiting_since": _iso(outcome.waiting_since),
        "sqlmesh/blocked_by": ", ".join(outcome.blocked_by),
        "sqlmesh/signals": ", ".join(
            f"{name} ({_spans(held)})" for name, held in outcome.signals.items()
        ),
        "sqlmesh/held_back": _spans(outcome.held_back),
        "sqlmesh/upstream_behind": ", ".join(
            f"{name} ({_spans(lacking)})" for name, lacking in outcome.upstream_behind.items()
        ),
        "sqlmesh/error": outcome.error,
        "sqlmesh/intervals": _spans(outcome.executed_intervals),
        "sqlmesh/batches": len(outcome.recorded_batches) or None,
        "sqlmesh/rows": outcome.rows,
        "sqlmesh/bytes": outcome.bytes,
        "sqlmesh/duration": outcome.duration and outcome.duration.total_seconds(),
        "sqlmesh/local_edit": outcome.local_edit or None,
        "sqlmesh/change_category": outcome.change_category,
    }
    if outcome.kind in _REBUILT and len(outcome.recorded_batches) == 1:
        facts["dagster/row_count"] = outcome.rows
    if report is not None:
        facts["sqlmesh/environment"] = report.environment
        facts["sqlmesh/execution_time"] = _iso(report.execution_time)
        facts[IGNORED_CRON] = report.arguments.get("ignore_cron") or None
        if outcome.reason in UNREADY_ENVIRONMENT:
            facts |= environment_metadata(report)
    return {key: value for key, value in facts.items() if value not in (None, "")}


def environment_metadata(report: RunReport) -> dict[str, Any]:
    """What is known of an environment that could not be run, or that a plan left unfinished."""
    state = report.environment_state
    if state is None:
        return {}
    facts = {
        "sqlmesh/unfinished_plan": state.unfinished_plan,
        "sqlmesh/remedy": environment_remedy(report.environment, state),
        "sqlmesh/environments": existing_environments(state),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _spans(intervals: tuple[Interval, ...]) -> str:
    return spans(intervals, limit=100)

"""Writes the remaining events of a step that accepts no more directly into Dagster's event log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from .emission import DATA_VERSION, Event, stored_materialization

_STORED = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
_Part = dg.AssetMaterialization | dg.AssetCheckEvaluation


def write_events(context: Any, events: Sequence[Event]) -> None:
    """Write events into the log of the op's run, as Dagster writes those that are yielded.

    Args:
        context: the context of the op.
        events: Dagster may have stored the first one already, or a part of it.
    """
    step = context.get_step_execution_context()
    stored = _stored(step)
    for number, event in enumerate(events):
        for part in _parts(event, step):
            if number > 0 or _identity(part) not in stored:
                _write(part, step)


def _parts(event: Event, step: Any) -> Iterator[_Part]:
    if isinstance(event, dg.MaterializeResult):
        materialization = stored_materialization(event)
        yield materialization
        # The checks are of this materialization, which the step does not know yet.
        step.wipe_input_asset_version_info(materialization.asset_key)
        for check in event.check_results or ():
            yield check.to_asset_check_evaluation(step)
    elif isinstance(event, dg.AssetCheckResult):
        yield event.to_asset_check_evaluation(step)
    else:
        yield event


def _identity(part: _Part) -> tuple[object, ...]:
    """What distinguishes it from the other events of the run: a check whose result has changed has
    two."""
    if isinstance(part, dg.AssetCheckEvaluation):
        return part.asset_check_key, part.passed
    return part.asset_key, (part.tags or {}).get(DATA_VERSION)


def _write(part: _Part, step: Any) -> None:
    # Making an event for a step logs it.
    if isinstance(part, dg.AssetCheckEvaluation):
        dg.DagsterEvent.asset_check_evaluation(step, part)
    else:
        dg.DagsterEvent.asset_materialization(step, part)


def _stored(step: Any) -> set[tuple[object, ...]]:
    entries = step.instance.all_logs(step.run_id, of_type=_STORED)
    events = (entry.dagster_event for entry in entries if entry.dagster_event)
    return {
        _identity(
            event.asset_check_evaluation_data
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
            else event.step_materialization_data.materialization
        )
        for event in events
    }

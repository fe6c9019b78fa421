"""Events that are put on record for a step that takes none any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from .telling import Event

DATA_VERSION = "dagster/data_version"
"""The tag of a materialization that tells its data from others."""
_TOLD = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
Part = dg.AssetMaterialization | dg.AssetCheckEvaluation


def record(context: Any, events: Sequence[Event]) -> None:
    """Write events into the log of the op's run, as Dagster does with those that are yielded.

    Args:
        events: the first can be one of which Dagster has stored everything, or a part.
    """
    step = context.get_step_execution_context()
    stored = _stored(step)
    for number, event in enumerate(events):
        for part in _parts(event, step):
            if number > 0 or _mark(part) not in stored:
                _write(part, step)


def _parts(event: Event, step: Any) -> Iterator[Part]:
    if isinstance(event, dg.MaterializeResult):
        assert event.asset_key is not None
        version = event.data_version
        yield dg.AssetMaterialization(
            event.asset_key,
            metadata=event.metadata,
            tags={DATA_VERSION: version.value} if version else None,
        )
        # The checks are of this materialization, which the step does not know yet.
        step.wipe_input_asset_version_info(event.asset_key)
        for check in event.check_results or ():
            yield check.to_asset_check_evaluation(step)
    elif isinstance(event, dg.AssetCheckResult):
        yield event.to_asset_check_evaluation(step)
    else:
        yield event


def _mark(part: Part) -> tuple[object, ...]:
    """What tells it from others of the run: a check can be told twice, if it has changed."""
    if isinstance(part, dg.AssetCheckEvaluation):
        return part.asset_check_key, part.passed
    return part.asset_key, (part.tags or {}).get(DATA_VERSION)


def _write(part: Part, step: Any) -> None:
    # Made for a step, an event is logged by that.
    if isinstance(part, dg.AssetCheckEvaluation):
        dg.DagsterEvent.asset_check_evaluation(step, part)
    else:
        dg.DagsterEvent.asset_materialization(step, part)


def _stored(step: Any) -> set[tuple[object, ...]]:
    entries = step.instance.all_logs(step.run_id, of_type=_TOLD)
    told = (entry.dagster_event for entry in entries if entry.dagster_event)
    return {
        _mark(
            event.asset_check_evaluation_data
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
            else event.step_materialization_data.materialization
        )
        for event in told
    }

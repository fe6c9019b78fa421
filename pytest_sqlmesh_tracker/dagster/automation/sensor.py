"""A sensor that tells Dagster what SQLMesh loaded and no run of Dagster told."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from pytest_sqlmesh_tracker.dagster.events.recording import DATA_VERSION
from pytest_sqlmesh_tracker.dagster.events.records import (
    Spans,
    by_the_minute,
    interval,
    on_record,
    without,
)
from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.wording.formats import counted, listed, spans

from .runs import Watched

_SHOWN = 5


def build_sqlmesh_sensor(
    assets: dg.AssetsDefinition,
    *,
    name: str | None = None,
    minimum_interval_seconds: int = 300,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """Make a sensor that reports what was loaded outside of Dagster as materializations.

    It covers plans and runs outside of Dagster, and what a run of Dagster loaded before it was
    killed. The first tick only notes what SQLMesh's state has as loaded; later ticks report what is
    new since then and not yet materialized. While a run of the assets is not finished, ticks wait
    for its end. Each tick asks SQLMesh in a process of its own.

    Args:
        assets: what `sqlmesh_assets` returned, with the keys that it has in the `Definitions`.
        name: the sensor's name; None means the op's name followed by `_outside`.
        minimum_interval_seconds: the pause between ticks. A tick takes seconds, in which no other
            process can open a DuckDB file.
        default_status: whether the sensor is running until somebody starts or stops it.

    Raises:
        DagsterInvalidDefinitionError: `sqlmesh_assets` did not make the assets, or their function
            does not have exactly one parameter that is annotated with `SqlmeshResource`.
    """
    outside = _Outside(Watched.by("build_sqlmesh_sensor", assets))
    return dg.SensorDefinition(
        name=name or f"{assets.op.name}_outside",
        evaluation_fn=outside.tick,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={outside.watched.resource},
        description="Tells what SQLMesh's state has as loaded in "
        f"{outside.watched.environment}, and no run of Dagster told.",
    )


class Loaded(Frozen):
    """What is loaded of a model."""

    version: str
    """Another one for another table."""
    intervals: Spans


class Look(Frozen):
    """What a tick saw, for the next one to compare with."""

    environment: str
    record: int
    """The latest event in Dagster's log, before SQLMesh was asked: what was loaded later was told
    later."""
    models: Mapping[str, Loaded]
    """All of the environment: a model can become an asset later. By fully qualified name."""
    layout: Literal[1] = 1

    @property
    def cursor(self) -> str:
        """For Dagster, which stores it with each tick: MySQL takes no more than 64 KiB."""
        return base64.b64encode(zlib.compress(self.model_dump_json().encode())).decode()

    @classmethod
    def of(cls, cursor: str | None) -> Look | None:
        """What a tick saw; None, if the cursor does not say so."""
        try:
            return cls.model_validate_json(zlib.decompress(base64.b64decode(cursor or "")))
        except (ValueError, zlib.error):
            return None


@dataclass(frozen=True)
class _Outside:
    """What the sensor tells, and of which assets."""

    watched: Watched

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Look what is loaded by now, and tell what is new.

        Raises:
            ProjectError: the project can't be opened, or the environment is not planned.
        """
        instance, environment = context.instance, self.watched.environment
        record = instance.event_log_storage.get_maximum_record_id() or 0
        models = self.watched.answer(context, "loaded", "what is loaded in")
        if isinstance(models, dg.SkipReason):
            return models
        # One that began meanwhile tells by itself what it has loaded.
        waiting = self.watched.run_under_way(instance)
        if waiting:
            return waiting
        now = Look(environment=environment, record=record, models=models)
        before = Look.of(context.cursor)
        # Of another environment, or another log, it says nothing here.
        if not before or before.environment != now.environment or before.record > record:
            said = f"noted what is loaded in {environment}: {counted(len(models), 'model')}"
            return dg.SensorResult(
                skip_reason=f"{said}; what is new is told from now on", cursor=now.cursor
            )
        events = list(self._new(instance, before, now))
        return dg.SensorResult(
            asset_events=events, cursor=now.cursor, skip_reason=self._said(events)
        )

    def _new(
        self, instance: dg.DagsterInstance, before: Look, now: Look
    ) -> Iterator[dg.AssetMaterialization]:
        # In topological order: Dagster takes what is upstream and newer for a reason to update.
        for fqn, key in self.watched.keys.items():
            if fqn not in now.models:
                continue
            model, known = now.models[fqn], before.models.get(fqn)
            same = known.intervals if known and known.version == model.version else ()
            new = by_the_minute(without(model.intervals, same))
            if new:
                told = on_record(instance, key, now.environment, after=before.record)
                new = without(new, told)
            if new:
                yield self._materialization(key, known, model, new, now.record)

    def _materialization(
        self, key: dg.AssetKey, known: Loaded | None, model: Loaded, new: Spans, record: int
    ) -> dg.AssetMaterialization:
        intervals = [interval(span) for span in new]
        change = _change(known, model).format(of=self.watched.environment, spans=spans(intervals))
        said = f"{change}; Dagster has no materialization of it since then"
        version = hashlib.sha256(f"{model.version} {new} {record}".encode()).hexdigest()[:32]
        return dg.AssetMaterialization(
            key,
            description=said,
            metadata={
                "sqlmesh/environment": self.watched.environment,
                "sqlmesh/intervals": spans(intervals, limit=100),
                "sqlmesh/loaded_through": interval(model.intervals[-1]).end.isoformat(),
                "sqlmesh/message": said,
            },
            # Without one, Dagster would take it for the same data as that of the last one without.
            tags={DATA_VERSION: version},
        )

    def _said(self, events: list[dg.AssetMaterialization]) -> str:
        if not events:
            return f"nothing is loaded in {self.watched.environment} of which Dagster is not told"
        names = [event.asset_key.to_user_string() for event in events]
        return f"told of {counted(len(names), 'asset')}: {listed(names, _SHOWN)}"


def _change(known: Loaded | None, model: Loaded) -> str:
    """What the state tells: not whether it was evaluated or only booked, nor when, nor by whom."""
    if known is None:
        return (
            "{of} has the model, and had not when this sensor last looked; "
            "SQLMesh's state has {spans} as loaded"
        )
    if known.version != model.version:
        return (
            "{of} has another version of the model than when this sensor last looked, "
            "of which SQLMesh's state has {spans} as loaded"
        )
    return "SQLMesh's state has {spans} as loaded in {of}, and had not when this sensor last looked"

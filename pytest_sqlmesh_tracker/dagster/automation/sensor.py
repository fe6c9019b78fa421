"""A sensor that materializes what SQLMesh loaded outside of Dagster."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from pytest_sqlmesh_tracker.dagster.events.earlier_events import recorded_intervals
from pytest_sqlmesh_tracker.dagster.events.emission import observed_event
from pytest_sqlmesh_tracker.dagster.events.materializations import (
    ObservedMaterialization,
    data_version,
)
from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.tracking.queries.messages import LoadedModel, LoadedQuery
from pytest_sqlmesh_tracker.wording.formats import listed, quantity, spans

from .op import AutomatedOp
from .spans import Spans, by_the_minute, interval_of, span_of, without

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
    tick = _OutsideTick(AutomatedOp.of(assets, "build_sqlmesh_sensor"))
    return dg.SensorDefinition(
        evaluation_fn=tick.evaluate,
        required_resource_keys={tick.op.resource},
        name=name or f"{assets.op.name}_outside",
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="Materializes what is loaded in the SQLMesh environment "
        f"{tick.op.environment} and was not materialized by a Dagster run.",
    )


class LoadedModels(Frozen):
    """What was loaded at a tick, for the next one to compare with."""

    environment: str
    log_position: int
    """The position of the latest event in Dagster's log before this tick's question: events of what
    was loaded later come after it."""
    models: Mapping[str, LoadedModel]
    """All models of the environment, by fully qualified name: each can become an asset later."""
    layout: Literal[1] = 1

    @property
    def cursor(self) -> str:
        """The text that Dagster stores with each tick: on MySQL, at most 64 KiB."""
        return base64.b64encode(zlib.compress(self.model_dump_json().encode())).decode()

    @classmethod
    def of_cursor(cls, cursor: str | None) -> LoadedModels | None:
        """The snapshot that a cursor holds; None if it does not hold one of this layout."""
        try:
            return cls.model_validate_json(zlib.decompress(base64.b64decode(cursor or "")))
        except (ValueError, zlib.error):
            return None


@dataclass(frozen=True)
class _OutsideTick:
    """The evaluation of a sensor's ticks."""

    op: AutomatedOp

    def evaluate(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask SQLMesh what is loaded now, and materialize what is new.

        Raises:
            ProjectError: the project can't be opened, or the environment is not planned.
        """
        instance, environment = context.instance, self.op.environment
        log_position = instance.event_log_storage.get_maximum_record_id() or 0
        answer = self.op.ask(context, LoadedQuery(environment=environment), "what is loaded in")
        if isinstance(answer, dg.SkipReason):
            return answer
        # A run that began meanwhile emits by itself what it has loaded.
        unfinished_run = self.op.skip_during_run(instance)
        if unfinished_run:
            return unfinished_run
        now = LoadedModels(environment=environment, log_position=log_position, models=answer.models)
        before = LoadedModels.of_cursor(context.cursor)
        # A snapshot of another environment, or with another log, can't be compared.
        if not before or before.environment != environment or before.log_position > log_position:
            models = quantity(len(answer.models), "model")
            return dg.SensorResult(
                skip_reason=f"recorded what is loaded in {environment}: {models}; later ticks "
                "materialize what is new",
                cursor=now.cursor,
            )
        observed = list(self._new(instance, before, now))
        return dg.SensorResult(
            asset_events=[observed_event(each) for each in observed],
            cursor=now.cursor,
            skip_reason=self._summary(observed),
        )

    def _new(
        self, instance: dg.DagsterInstance, before: LoadedModels, now: LoadedModels
    ) -> Iterator[ObservedMaterialization]:
        # In topological order: for Dagster, a newer materialization upstream is a reason to update.
        for fqn, key in self.op.keys.items():
            if fqn not in now.models:
                continue
            model, earlier = now.models[fqn], before.models.get(fqn)
            same = earlier.intervals if earlier and earlier.version == model.version else ()
            new = by_the_minute(without(model.intervals, same))
            if new:
                recorded = recorded_intervals(
                    instance, key, now.environment, after=before.log_position
                )
                new = without(new, by_the_minute(map(span_of, recorded)))
            if new:
                yield self._observed(key, earlier, model, new, now.log_position)

    def _observed(
        self,
        key: dg.AssetKey,
        earlier: LoadedModel | None,
        model: LoadedModel,
        new: Spans,
        log_position: int,
    ) -> ObservedMaterialization:
        environment, intervals = self.op.environment, tuple(map(interval_of, new))
        change = _change(earlier, model, environment, spans(intervals))
        return ObservedMaterialization(
            key,
            environment,
            intervals,
            loaded_through=interval_of(model.intervals[-1]).end,
            description=f"{change}; Dagster has no materialization of it since then",
            data_version=data_version(model.version, new, log_position),
        )

    def _summary(self, observed: Sequence[ObservedMaterialization]) -> str:
        if not observed:
            return f"Dagster has materialized everything that is loaded in {self.op.environment}"
        names = [each.asset.to_user_string() for each in observed]
        return f"materialized {quantity(len(names), 'asset')}: {listed(names, _SHOWN)}"


def _change(
    earlier: LoadedModel | None, model: LoadedModel, environment: str, intervals: str
) -> str:
    """What the state shows. It does not show whether the model was evaluated or only booked, when,
    nor by whom."""
    if earlier is None:
        return (
            f"the model was added to {environment} after this sensor last checked; "
            f"SQLMesh's state records {intervals} as loaded"
        )
    if earlier.version != model.version:
        return (
            f"the model's version in {environment} changed after this sensor last checked; "
            f"SQLMesh's state records {intervals} of it as loaded"
        )
    return (
        f"SQLMesh's state records {intervals} as loaded in {environment}, "
        "but did not when this sensor last checked"
    )

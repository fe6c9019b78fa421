"""What schedules and sensors watch: the assets of one op, and the runs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.ops import annotated, assets_of_op
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.dagster.resource import SqlmeshResource
from pytest_sqlmesh_tracker.dagster.running.waits import awaited_plan
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.tracking.errors.types import BusyError
from pytest_sqlmesh_tracker.wording.invocations import environment_problem, environment_remedy

_AT_REST = {"NOT_STARTED", "MANAGED", "SUCCESS", "FAILURE", "CANCELED"}
"""Statuses of runs that neither run nor will by themselves."""
_PLANNED = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}


@dataclass(frozen=True)
class Watched:
    """The assets of an op of `@sqlmesh_assets`, as they are in Dagster by now."""

    assets: ProjectAssets
    resource: str
    """The key of the op's `SqlmeshResource`."""
    keys: dict[str, dg.AssetKey]
    """Fully qualified name of each model → its asset, in topological order."""

    @classmethod
    def by(cls, builder: str, definition: dg.AssetsDefinition) -> Watched:
        """What a schedule or a sensor watches.

        Args:
            builder: the function that was called with the definition.

        Raises:
            DagsterInvalidDefinitionError: the assets are none of `sqlmesh_assets`, or their
                function has not exactly one parameter that is annotated with `SqlmeshResource`.
        """
        node = definition.node_def if definition.is_executable else None
        assets = assets_of_op(node) if isinstance(node, dg.OpDefinition) else None
        if assets is None:
            raise dg.DagsterInvalidDefinitionError(
                f"{builder} takes what @sqlmesh_assets or build_sqlmesh_assets made"
            )
        resources = annotated(definition.op, SqlmeshResource)
        if len(resources) != 1:
            raise dg.DagsterInvalidDefinitionError(
                f"{definition.op.name} has {len(resources)} parameters that are annotated with "
                f"SqlmeshResource: {builder} asks the one that it has"
            )
        of_models = {s.metadata[MODEL]: s.key for s in definition.specs if MODEL in s.metadata}
        keys = {model.fqn: of_models[model.name] for model in assets.models}
        return cls(assets, resources.pop(), keys)

    @property
    def environment(self) -> str:
        """The environment of the assets."""
        return self.assets.environment

    def answer(self, context: Any, question: str, what: str, **arguments: Any) -> Any:
        """What SQLMesh answers of the environment, or a `SkipReason` why it can't be asked now.

        Args:
            context: of a tick.
            what: is not known then, in words.

        Raises:
            ProjectError: there is no project or environment, or no answer; one line says why.
        """
        of, resource = self.environment, getattr(context.resources, self.resource)
        waiting = self.run_under_way(context.instance)
        if waiting:
            return waiting
        try:
            answer = resource.ask(question, environment=of, **arguments)
        except BusyError:
            return dg.SkipReason(f"{what} {of} is not known: another process has the database")
        if "unfinished_plan" in answer:
            return dg.SkipReason(_unfinished(of, answer["unfinished_plan"]))
        return answer

    def run_under_way(self, instance: dg.DagsterInstance) -> dg.SkipReason | None:
        """That a run is not finished which planned one of the assets or their checks."""
        keys = set(self.keys.values())
        statuses = [status for status in dg.DagsterRunStatus if status.value not in _AT_REST]
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=statuses)):
            planned = instance.all_logs(run.run_id, of_type=_PLANNED)
            events = [entry.dagster_event for entry in planned if entry.dagster_event]
            if any(event.asset_key in keys or _checked(event) in keys for event in events):
                words = f"run {run.run_id[:8]} of {self.environment} is not finished"
                plan = awaited_plan(run)
                if plan is not None:
                    words = f"{words}; it had to wait: {_unfinished(self.environment, plan)}"
                return dg.SkipReason(words)
        return None


def _checked(event: dg.DagsterEvent) -> dg.AssetKey | None:
    return getattr(event.event_specific_data, "asset_key", None)


def _unfinished(environment: str, plan: str) -> str:
    state = EnvironmentState(unfinished_plan=plan)
    return f"{environment_problem(environment, state)}; {environment_remedy(environment, state)}"

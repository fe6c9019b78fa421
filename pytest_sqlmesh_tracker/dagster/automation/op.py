"""The op that a schedule or a sensor is for: its assets, its resource, and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.ops import assets_of_op, parameters_annotated_with
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.dagster.resource import SqlmeshResource
from pytest_sqlmesh_tracker.dagster.running.tags import awaited_plan
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.tracking.errors.types import BusyError
from pytest_sqlmesh_tracker.tracking.queries.messages import Answer, Query, UnfinishedPlan
from pytest_sqlmesh_tracker.wording.invocations import environment_problem, environment_remedy

_AT_REST = {"NOT_STARTED", "MANAGED", "SUCCESS", "FAILURE", "CANCELED"}
"""Statuses of runs that do not run, and will not start by themselves."""
_PLANNED = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}


@dataclass(frozen=True)
class AutomatedOp:
    """An op of `@sqlmesh_assets`, with the asset keys that it has in the `Definitions`."""

    assets: ProjectAssets
    resource: str
    """The key of the op's `SqlmeshResource`."""
    keys: dict[str, dg.AssetKey]
    """Fully qualified name of each model → the key of its asset, in topological order."""

    @classmethod
    def of(cls, definition: dg.AssetsDefinition, builder: str) -> AutomatedOp:
        """The op of the assets.

        Args:
            builder: the name of the function that was called with the definition.

        Raises:
            DagsterInvalidDefinitionError: `sqlmesh_assets` did not make the assets, or their
                function does not have exactly one parameter annotated with `SqlmeshResource`.
        """
        node = definition.node_def if definition.is_executable else None
        assets = assets_of_op(node) if isinstance(node, dg.OpDefinition) else None
        if assets is None:
            raise dg.DagsterInvalidDefinitionError(
                f"{builder} requires assets from @sqlmesh_assets or build_sqlmesh_assets"
            )
        resources = parameters_annotated_with(definition.op, SqlmeshResource)
        if len(resources) != 1:
            raise dg.DagsterInvalidDefinitionError(
                f"{definition.op.name} must have exactly one parameter annotated with "
                f"SqlmeshResource for {builder}, not {len(resources)}"
            )
        by_name = {s.metadata[MODEL]: s.key for s in definition.specs if MODEL in s.metadata}
        keys = {model.fqn: by_name[model.name] for model in assets.models}
        return cls(assets, resources.pop(), keys)

    @property
    def environment(self) -> str:
        """The environment of the assets."""
        return self.assets.environment

    def ask(self, context: Any, query: Query[Answer], subject: str) -> Answer | dg.SkipReason:
        """Ask SQLMesh about the environment; a `SkipReason`, if that is not possible now.

        Args:
            context: the context of a tick.
            query: the query.
            subject: the subject of the query in words, for the reason.

        Raises:
            ProjectError: the project or environment does not exist, or SQLMesh did not answer;
                the message is one line.
        """
        environment, resource = self.environment, getattr(context.resources, self.resource)
        unfinished_run = self.skip_during_run(context.instance)
        if unfinished_run:
            return unfinished_run
        try:
            answer: Answer | UnfinishedPlan = resource.ask(query)
        except BusyError:
            return dg.SkipReason(
                f"{subject} {environment} is unknown: another process has locked the database"
            )
        if isinstance(answer, UnfinishedPlan):
            return dg.SkipReason(_unfinished(environment, answer.plan))
        return answer

    def skip_during_run(self, instance: dg.DagsterInstance) -> dg.SkipReason | None:
        """The reason to skip a tick while a run of any of the assets or checks is not finished."""
        keys = set(self.keys.values())
        statuses = [status for status in dg.DagsterRunStatus if status.value not in _AT_REST]
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=statuses)):
            planned = instance.all_logs(run.run_id, of_type=_PLANNED)
            events = [entry.dagster_event for entry in planned if entry.dagster_event]
            if any(event.asset_key in keys or _asset_of_check(event) in keys for event in events):
                words = f"run {run.run_id[:8]} of {self.environment} is not finished"
                plan = awaited_plan(run)
                if plan is not None:
                    words = f"{words}; it had to wait: {_unfinished(self.environment, plan)}"
                return dg.SkipReason(words)
        return None


def _asset_of_check(event: dg.DagsterEvent) -> dg.AssetKey | None:
    return getattr(event.event_specific_data, "asset_key", None)


def _unfinished(environment: str, plan: str) -> str:
    state = EnvironmentState(unfinished_plan=plan)
    return f"{environment_problem(environment, state)}; {environment_remedy(environment, state)}"

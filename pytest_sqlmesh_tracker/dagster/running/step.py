"""A Dagster step of `@sqlmesh_assets`: its assets, and the invocation that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.intermediates import IntermediateAssets
from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.ops import assets_of_op
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.dagster.events.earlier_events import (
    EarlierTries,
    earlier_tries,
    standing_failures,
)
from pytest_sqlmesh_tracker.dagster.events.step_events import StepEvents
from pytest_sqlmesh_tracker.gate import GatePolicy, GatePolicyError
from pytest_sqlmesh_tracker.models.index import UnknownModelError

from .failures import failure_before
from .history import StepHistory
from .invocation import EmptyInvocation, Limits, SqlmeshInvocation
from .requests import Request, build_request, run_config
from .tags import DUE_ONLY


class Step:
    """The step that a context belongs to."""

    def __init__(self, context: Any, environment: str | None) -> None:
        """Find the assets of the step.

        Args:
            context: the context of the op.
            environment: the environment to run or plan; None means the environment of the assets.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
        """
        assets = assets_of_op(context.op_def)
        if assets is None:
            raise dg.DagsterInvariantViolationError(
                f"{context.op_def.name} is not an op of @sqlmesh_assets: pass the context of one"
            )
        self._context = context
        self._assets: ProjectAssets = assets
        self._environment = environment or assets.environment
        keys = context.selected_asset_keys
        # The keys may have been prefixed since the assets were made.
        specs = context.assets_def.specs_by_key.values()
        self._op_specs = {spec.metadata[MODEL]: spec for spec in specs if MODEL in spec.metadata}
        """The specs of all assets of the op, by the names of their models."""
        self._keys = {**assets.keys, **{name: spec.key for name, spec in self._op_specs.items()}}
        self._specs = {name: spec for name, spec in self._op_specs.items() if spec.key in keys}
        self._selected = [model.name for model in assets.models if model.name in self._specs]
        self._earlier = EarlierTries()
        self._called_directly = _is_called_directly(context)
        if not self._called_directly and context.op_execution_context.retry_number:
            self._earlier = earlier_tries(context.instance, context.run.run_id)

    def invocation(
        self,
        command: str,
        arguments: Mapping[str, Any],
        open_context: Callable[[], AbstractContextManager[Any]],
        limits: Limits,
        *,
        policy_from: str,
        history: str | None,
        fail_on_unknown: bool,
    ) -> SqlmeshInvocation:
        """Prepare the invocation; nothing happens yet.

        Args:
            command: `run` or `plan`.
            arguments: the user's arguments of the command.
            open_context: opens the SQLMesh context, and closes it afterwards.
            policy_from: the folder from which the gate's policy is searched upward.
            history: the DuckDB file to which the report is appended.
            fail_on_unknown: whether models with the status `unknown` fail the step as well.

        Raises:
            Failure: the run config has models that do not exist, or the policy or the history is
                not valid.
        """
        models = self._models_to_run(command)
        try:
            policy = GatePolicy.nearest(policy_from)
        except GatePolicyError as error:
            raise failure_before(error) from None
        events = StepEvents(
            assets=self._assets,
            specs=self._specs,
            unselected={n: self._op_specs[n] for n in models if n not in self._specs},
            environment=self._environment,
            keys=self._keys,
            selected_checks=frozenset(self._context.selected_asset_check_keys),
            policy=policy,
            materialized_before=self._earlier.materialized,
            called_directly=self._called_directly,
        )
        make = SqlmeshInvocation if models else EmptyInvocation
        return make(
            self._context,
            open_context,
            self._request(command, models, arguments),
            events,
            standing_failures(self._context.instance, [spec.key for spec in self._specs.values()]),
            limits,
            StepHistory(history, self._context.log),
            fail_on_unknown=fail_on_unknown,
        )

    def _models_to_run(self, command: str) -> list[str]:
        due_only = not self._called_directly and DUE_ONLY in self._context.run.tags
        if not due_only or command != "run":
            return self._selected
        if not self._selected:
            return [model.name for model in self._assets.models]
        others = self._models_of_other_steps()
        return [model.name for model in self._assets.models if model.name not in others]

    def _models_of_other_steps(self) -> set[str]:
        """The models that this step must not run, though they may be due."""
        names = {spec.key: name for name, spec in self._op_specs.items()}
        own = frozenset(self._specs[name].key for name in self._selected)
        # These wait for an asset of another op, which may not be materialized before this step.
        intermediates = IntermediateAssets.of_step(self._context, names.keys())
        waiting = intermediates.own_downstream - own
        elsewhere = self._context.job_def.asset_layer.executable_asset_keys & names.keys() - own
        if not elsewhere:
            return {names[key] for key in waiting}
        # The op is divided into steps: here, only what is upstream of the step's own models may
        # hold them back.
        upstream = self._assets.upstream_of(self._selected)
        return {
            name
            for key, name in names.items()
            if key not in own and (key in waiting | elsewhere or name not in upstream)
        }

    def _request(self, command: str, models: list[str], arguments: Mapping[str, Any]) -> Request:
        unfinished = self._earlier.unfinished
        try:
            return build_request(
                command,
                self._assets,
                models,
                self._environment,
                run_config(self._context),
                arguments,
                unfinished=[name for name, spec in self._specs.items() if spec.key in unfinished],
            )
        except UnknownModelError as error:
            raise failure_before(error) from None


def _is_called_directly(context: Any) -> bool:
    """Whether a test calls the op's function, with a context of `build_asset_context`."""
    # Only such a context has the attribute, by which Dagster knows whether it is in use.
    return hasattr(context, "is_bound")

"""A call of SQLMesh, made of Dagster's selection, the run config, and the user's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sqlmesh_tracker.dagster.definitions.ops import takes_run_config
from pytest_sqlmesh_tracker.dagster.definitions.selection import asset_models
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets

_MODEL_ARGUMENTS = "select_models", "restate_models"


@dataclass(frozen=True)
class Request:
    """One call of `run` or `plan` of a SQLMesh context."""

    command: str
    environment: str
    derived: Mapping[str, Any]
    """Arguments derived from Dagster's selection and run config; models by their shown names."""
    arguments: Mapping[str, Any]
    """The user's arguments, as SQLMesh accepts them; they take precedence."""

    def send(self, context: Any) -> None:
        """Call the SQLMesh context.

        Raises:
            SelectorError: SQLMesh has no selector for one of the models.
        """
        from pytest_sqlmesh_tracker.tracking.project.selecting import selectors_of

        derived = {
            name: selectors_of(context, value) if name in _MODEL_ARGUMENTS else value
            for name, value in self.derived.items()
            if name not in self.arguments
        }
        getattr(context, self.command)(self.environment, **derived, **self.arguments)


def build_request(
    command: str,
    assets: ProjectAssets,
    selected: Sequence[str],
    environment: str,
    config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    unfinished: Sequence[str] = (),
) -> Request:
    """The request to run or plan the selected models; always a plan, if models are to be restated.

    Args:
        selected: the names of the models that are selected in Dagster.
        config: the run config of the op.
        arguments: the user's arguments of `Context.run` or `Context.plan`.
        unfinished: the names of models that an earlier try of this Dagster run did not finish.

    Raises:
        UnknownModelError: a selector of the models to restate matches nothing.
    """
    derived = {name: config[name] for name in ("start", "end", "ignore_cron") if config.get(name)}
    restated = (
        asset_models(assets.project.models, config["restate"]) if config.get("restate") else ()
    )
    if restated:
        command = "plan"
        # A plan has no such argument.
        arguments = {name: value for name, value in arguments.items() if name != "no_auto_upstream"}
        derived["restate_models"] = list(unfinished) or [model.name for model in restated]
    elif "restate_models" not in arguments and not _is_all(assets, selected):
        derived["select_models"] = list(selected)
        if command == "run":
            derived["no_auto_upstream"] = True
    if command == "plan":
        derived |= {"auto_apply": True, "no_prompts": True}
    return Request(command, environment, derived, arguments)


def run_config(context: Any) -> Mapping[str, Any]:
    """The run config of an op of `@sqlmesh_assets`; empty, if its function has its own."""
    if not takes_run_config(context.op_def):
        return {}
    # The context of an op has the config itself.
    return getattr(context, "op_execution_context", context).op_config or {}


def _is_all(assets: ProjectAssets, selected: Sequence[str]) -> bool:
    return assets.complete and len(selected) == len(assets.models)

"""What Dagster asks of SQLMesh: its selection and its run config, as SQLMesh's own arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sqlmesh_tracker.dagster.definitions.ops import takes_run_config
from pytest_sqlmesh_tracker.dagster.definitions.selection import asset_models
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets

DUE_ONLY = "sqlmesh/due_only"
"""The tag of a Dagster run in which the selection says only what was due: what is due is asked for
of all models, or a model would not wait for one upstream that waits for a signal."""
_NAMES = "select_models", "restate_models"
"""Arguments that hold names of models."""


@dataclass(frozen=True)
class Asked:
    """One call of a method of SQLMesh's context."""

    command: str
    environment: str
    derived: Mapping[str, Any]
    """Arguments that Dagster gave cause for; models by the names they are shown with."""
    given: Mapping[str, Any]
    """Arguments of the user's, as SQLMesh takes them; they outweigh the derived ones."""

    def of(self, context: Any) -> None:
        """Call it.

        Raises:
            SelectorError: SQLMesh has no selector for one of the models.
        """
        from pytest_sqlmesh_tracker.tracking.project.selecting import selectors_of

        derived = {name: value for name, value in self.derived.items() if name not in self.given}
        for name in _NAMES:
            if name in derived:
                derived[name] = selectors_of(context, derived[name])
        getattr(context, self.command)(self.environment, **derived, **self.given)


def asked_of(
    command: str,
    assets: ProjectAssets,
    selected: Sequence[str],
    environment: str,
    config: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    unfinished: Sequence[str] = (),
) -> Asked:
    """A run, or a plan, of the selected models; a plan, if it is to restate some.

    Args:
        selected: models that are selected in Dagster.
        config: of the Dagster run.
        given: arguments of `Context.run` or `Context.plan`.
        unfinished: models that an earlier try of this Dagster run began, and did not come to.

    Raises:
        UnknownModelError: nothing matches what is to be restated.
    """
    derived = {name: config[name] for name in ("start", "end", "ignore_cron") if config.get(name)}
    restated = (
        asset_models(assets.project.models, config["restate"]) if config.get("restate") else ()
    )
    if restated:
        command = "plan"
        # Of a run's argument, a plan knows nothing.
        given = {name: value for name, value in given.items() if name != "no_auto_upstream"}
        derived["restate_models"] = list(unfinished) or [model.name for model in restated]
    elif "restate_models" not in given and not _is_all(assets, selected):
        derived["select_models"] = list(selected)
        if command == "run":
            derived["no_auto_upstream"] = True
    if command == "plan":
        derived |= {"auto_apply": True, "no_prompts": True}
    return Asked(command, environment, derived, given)


def run_config(context: Any) -> Mapping[str, Any]:
    """The run config of an op of `@sqlmesh_assets`; empty, if its function has its own."""
    if not takes_run_config(context.op_def):
        return {}
    # An op's context has it itself.
    return getattr(context, "op_execution_context", context).op_config or {}


def _is_all(assets: ProjectAssets, selected: Sequence[str]) -> bool:
    return assets.complete and len(selected) == len(assets.models)

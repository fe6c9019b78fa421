"""The differences between the supported SQLMesh versions, with the first version that differs.

Each function hides one difference. Two kinds of difference are declared where the tracker listens
to SQLMesh instead (`tracking.reliance`): a keyword-only parameter with a default, in a handler, is
an argument that only some versions pass; a `Reliance` with `since` is a part of SQLMesh that
earlier versions lack. No other code depends on SQLMesh's version.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import Any, NamedTuple

from .reliance import Reliance

RELIES_ON = (
    Reliance("core.plan.stages:RestatementStage.__dataclass_fields__", "`restatement_refused`"),
)


class _Interface(NamedTuple):
    """The parameters of a console method in the installed SQLMesh."""

    names: tuple[str, ...]
    defaults: dict[str, Any]


@cache
def _interface(event: str) -> _Interface:
    from sqlmesh.core.console import Console

    parameters = list(signature(getattr(Console, event)).parameters.values())[1:]
    parameters_by_name = [p for p in parameters if p.kind is not Parameter.VAR_KEYWORD]
    defaults = {p.name: p.default for p in parameters_by_name if p.default is not Parameter.empty}
    return _Interface(tuple(p.name for p in parameters_by_name), defaults)


def by_name(event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A console call's arguments, by the installed SQLMesh's parameter names.

    Parameters were added and inserted over time (`auto_restatement_triggers` in 0.210,
    `execution_stats` before it in 0.211.2), so positions come from the installed class.
    """
    names, defaults = _interface(event)
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


def node_of(error: Any) -> tuple[str, int | None]:
    """Model and batch index of a `NodeExecutionFailedError`; the index is None for table creation.

    Since 0.210, nodes have their own classes.

    Raises:
        ValueError: the node is of an unknown kind.
    """
    node = error.node
    if isinstance(node, tuple) and not hasattr(node, "snapshot_name"):
        # Before 0.210: (name, ((start, end), batch_index)).
        name, (_, batch) = node
        return name, batch
    if hasattr(node, "batch_index"):
        return node.snapshot_name, node.batch_index
    if hasattr(node, "snapshot_name"):
        return node.snapshot_name, None
    if hasattr(node, "name"):
        # Creation and promotion work on SnapshotIds.
        return node.name, None
    raise ValueError(f"unknown kind of node: {node!r}")


def sees_through_idle_parents() -> bool:
    """Whether a batch waits for ancestors behind a parent that has nothing to do.

    True since 0.210 (`Scheduler._find_upstream_dependencies`); before, batches wait only for
    direct parents.
    """
    from sqlmesh.core.scheduler import Scheduler

    return hasattr(Scheduler, "_find_upstream_dependencies")


def creates_tables_when_evaluated() -> bool:
    """Whether a model without intervals can have no table (`Scheduler._dag`).

    Earlier versions create the tables of all models of a plan before they evaluate any.
    """
    from sqlmesh.core.scheduler import Scheduler

    return "snapshots_to_create" in signature(Scheduler._dag).parameters


def ignores_cron(plan: Any) -> bool:
    """Whether a plan ignores models' crons, an option of plans since 0.210."""
    return bool(getattr(plan, "ignore_cron", False))


def selected_to_restate(context: Any, plan: Any) -> frozenset[str]:
    """The models that the user selected for a plan's restatement, including any refused ones.

    Since 0.219, plans have a field for them; before, the selection is expanded again.
    """
    if hasattr(plan, "selected_models_to_restate"):
        return frozenset(plan.selected_models_to_restate or ())
    selection = (plan.user_provided_flags or {}).get("restate_models")
    if not selection:
        return frozenset()
    return frozenset(context._new_selector().expand_model_selections(selection))


def restates_state_first() -> bool:
    """Whether a restatement removes the loaded intervals from the state before loading them again.

    True before 0.218. Since then, it removes only those of the models' other versions, after
    everything is loaded (sqlmesh/core/plan/stages.py, `RestatementStage`).
    """
    from sqlmesh.core.plan.stages import RestatementStage

    return "snapshot_intervals" in RestatementStage.__dataclass_fields__


@cache
def starts_a_tick_ago() -> bool:
    """Whether a model without a start can start one tick of its cron ago although it has parents.

    True in early versions, which take the earliest of that tick and of the parents' starts; later
    ones take that tick only without parents (`start_date`).
    """
    from sqlmesh.core.snapshot import start_date

    tick, later = (
        datetime(2024, 1, 1, tzinfo=timezone.utc),
        datetime(2024, 1, 2, tzinfo=timezone.utc),
    )
    node: Any = SimpleNamespace(start=None, cron_floor=lambda at: at, cron_prev=lambda _: tick)
    model: Any = SimpleNamespace(name="model", node=node, parents=["parent"])
    parent: Any = SimpleNamespace(name="parent", node=SimpleNamespace(start=later), parents=[])
    snapshots: Any = {"model": model, "parent": parent}
    return bool(start_date(model, snapshots, relative_to=later) == tick)


def dbt_id(audit: Any) -> str | None:
    """dbt's unique ID of the test that an audit is created from; None for any other audit.

    Before 0.222, audits do not have it, and SQLMesh's names of tests stay as they are.
    """
    info = getattr(audit, "dbt_node_info", None)
    return None if info is None else str(info.unique_id)


def selector_of(model: Any) -> str:
    """The name of a model in SQLMesh's selectors; since 0.222, dbt models have that of dbt's
    selectors."""
    return str(getattr(model, "dbt_fqn", None) or model.name)


def create_state(state: Any, default_catalog: str | None) -> None:
    """Create the tables of a state that has none; early versions require the default catalog."""
    takes_catalog = "default_catalog" in signature(state.migrate).parameters
    state.migrate(**({"default_catalog": default_catalog} if takes_catalog else {}))


def migration_tries() -> Any:
    """The tenacity settings for retrying the migration of a table; None before 0.220.1, when
    SQLMesh did not retry."""
    from sqlmesh.core.snapshot import SnapshotEvaluator

    return getattr(getattr(SnapshotEvaluator, "_migrate_target_table", None), "retry", None)

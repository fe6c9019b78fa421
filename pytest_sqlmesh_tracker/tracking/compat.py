"""Everything in which the supported SQLMesh versions differ, with the version that differs first.

Each function hides one difference; the rest of the package does not look at versions, and reads no
attribute that only some of them have.
"""

from __future__ import annotations

from functools import cache
from inspect import Parameter, signature
from typing import Any, NamedTuple

from .reliance import Reliance

RELIES_ON = (
    Reliance("core.plan.stages:RestatementStage.__dataclass_fields__", "`restatement_refused`"),
)


class _Interface(NamedTuple):
    """The parameters of a console's method, in the installed SQLMesh."""

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
    """A console call's arguments by the names that the installed SQLMesh gives them.

    Parameters were added and inserted over time (`auto_restatement_triggers` in 0.210,
    `execution_stats` before it in 0.211.2), so the installed class knows their places.
    """
    names, defaults = _interface(event)
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


def node_of(error: Any) -> tuple[str, int | None]:
    """Model and batch of a `NodeExecutionFailedError`; the batch is None for a table's creation.

    Nodes have classes of their own since 0.210.

    Raises:
        ValueError: a node of a kind that this tracker does not know.
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
    raise ValueError(f"a node of unknown kind: {node!r}")


def sees_through_idle_parents() -> bool:
    """Whether a batch waits for ancestors behind a parent that has nothing to do.

    Since 0.210 (`Scheduler._find_upstream_dependencies`); before, only for direct parents.
    """
    from sqlmesh.core.scheduler import Scheduler

    return hasattr(Scheduler, "_find_upstream_dependencies")


def ignores_cron(plan: Any) -> bool:
    """Whether a plan evaluates what no cron is due for: only since 0.210 can it be told to."""
    return bool(getattr(plan, "ignore_cron", False))


def selected_to_restate(context: Any, plan: Any) -> frozenset[str]:
    """The models that the user selected for a plan's restatement, before any was refused.

    Since 0.219, plans have them in a field; before, the selection is expanded once more.
    """
    if hasattr(plan, "selected_models_to_restate"):
        return frozenset(plan.selected_models_to_restate or ())
    selection = (plan.user_provided_flags or {}).get("restate_models")
    if not selection:
        return frozenset()
    return frozenset(context._new_selector().expand_model_selections(selection))


def restates_state_first() -> bool:
    """Whether a restatement forgets the loaded intervals before it loads them anew.

    Before 0.218; since then it does so only for other versions of the models, and when all is
    loaded (sqlmesh/core/plan/stages.py, `RestatementStage`).
    """
    from sqlmesh.core.plan.stages import RestatementStage

    return "snapshot_intervals" in RestatementStage.__dataclass_fields__


def dbt_id(audit: Any) -> str | None:
    """dbt's unique id of the test that an audit is made of; None for any other audit.

    Since 0.222; before, audits do not have it, and dbt's names are left as they are.
    """
    info = getattr(audit, "dbt_node_info", None)
    return None if info is None else str(info.unique_id)


def selector_of(model: Any) -> str:
    """How SQLMesh's selectors name a model; since 0.222, a dbt model as dbt's own selectors do."""
    return str(getattr(model, "dbt_fqn", None) or model.name)


def migration_tries() -> Any:
    """The settings (tenacity's) of the tries to migrate a table; None before 0.220.1, when SQLMesh
    tried once."""
    from sqlmesh.core.snapshot import SnapshotEvaluator

    return getattr(getattr(SnapshotEvaluator, "_migrate_target_table", None), "retry", None)

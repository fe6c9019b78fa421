"""Everything in which the supported SQLMesh versions differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from inspect import Parameter, Signature, signature
from typing import Any

from pytest_sqlmesh_tracker.tracking.events.recording import Lifetime


@cache
def _parameters(event: str) -> tuple[str, ...]:
    # Parameters were added and inserted over time (`execution_stats` before
    # `auto_restatement_triggers` in 0.211.2), so the installed class is asked for their names.
    from sqlmesh.core.console import Console

    parameters = list(signature(getattr(Console, event)).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind is not Parameter.VAR_KEYWORD)


def by_name(event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A console call's arguments by the names that the installed SQLMesh gives them."""
    return {**dict(zip(_parameters(event), args, strict=False)), **kwargs}


def node_of(error: Any) -> tuple[str, int | None]:
    """Model and batch of a `NodeExecutionFailedError`; the batch is None for a table's creation.

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


def bound(signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, `**kwargs` of the method flattened."""
    arguments = signature.bind(*args, **kwargs).arguments
    for parameter in signature.parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
    return arguments


def span(start: Any, end: Any) -> tuple[int, int]:
    """Two `TimeLike`s in milliseconds since the epoch, 0 for None; a date as end is included."""
    from sqlmesh.utils.date import make_exclusive, to_timestamp

    if _is_millis(start) and _is_millis(end):
        # As the scheduler has them, for each batch; SQLMesh's functions try other formats first.
        return start, end
    return to_timestamp(start) if start else 0, to_timestamp(make_exclusive(end)) if end else 0


def _is_millis(moment: Any) -> bool:
    """Whether SQLMesh takes this for milliseconds: a short number could be a date, 20240101."""
    return type(moment) is int and moment > 99_999_999


def resolved(moment: Any) -> Any:
    """A `TimeLike` that means the same later: relative expressions become datetimes.

    Dates stay dates, since SQLMesh takes them for whole days (sqlmesh/utils/date.py, `is_date`).
    """
    from sqlmesh.utils.date import is_date, to_datetime

    return moment if not moment or is_date(moment) else to_datetime(moment)


def lifetime_of(node: Any, resolve: Callable[[Any], Any]) -> Lifetime | None:
    """When the node starts and ends, resolved now; None where that means the same at any time.

    `start_date` and `Snapshot.missing_intervals` resolve "1 week ago" whenever they are asked, by
    the wall clock (sqlmesh/core/snapshot/definition.py).

    Args:
        resolve: `resolved`, which takes long for a relative expression, and which a project's
            models ask for few of them.
    """
    if _is_absolute(node.start) and _is_absolute(node.end):
        return None
    return Lifetime(resolve(node.start), resolve(node.end))


def _is_absolute(moment: Any) -> bool:
    if not moment or not isinstance(moment, str):
        return True
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return bool(moment.isdigit())
    return True


def asked_to_restate(context: Any, plan: Any) -> frozenset[str]:
    """The models that the user asked a plan to restate, before any was refused.

    Plans have them in a field, except those of the first versions (0.206 has none).
    """
    if hasattr(plan, "selected_models_to_restate"):
        return frozenset(plan.selected_models_to_restate or ())
    selection = (plan.user_provided_flags or {}).get("restate_models")
    if not selection:
        return frozenset()
    return frozenset(context._new_selector().expand_model_selections(selection))


def restates_state_first() -> bool:
    """Whether a restatement forgets the loaded intervals before it loads them anew.

    So it did in the first versions; later ones do so only for other versions of the models, and
    when all is loaded (sqlmesh/core/plan/stages.py, `RestatementStage`).
    """
    from sqlmesh.core.plan.stages import RestatementStage

    return "snapshot_intervals" in RestatementStage.__dataclass_fields__

"""The assets that an op runs, which are kept on its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

import dagster as dg

from .specs import ProjectAssets


def with_assets(
    assets: ProjectAssets, function: Callable[..., Any], *, run_config: bool
) -> Callable[..., Any]:
    """The function of an op, with the assets that the op runs attached to it.

    It yields what the original function yields, or the items of what it returns.

    Args:
        run_config: whether the op has the config of `sqlmesh_assets`.
    """

    @wraps(function)
    def stream(*args: Any, **kwargs: Any) -> Any:
        yield from function(*args, **kwargs) or ()

    annotated: Any = stream
    annotated.__signature__ = _signature(function)
    annotated.sqlmesh_assets, annotated.sqlmesh_run_config = assets, run_config
    return stream


def assets_of_op(op: dg.OpDefinition) -> ProjectAssets | None:
    """The assets that an op runs; None if `sqlmesh_assets` did not make the op."""
    assets = getattr(_function(op), "sqlmesh_assets", None)
    return assets if isinstance(assets, ProjectAssets) else None


def takes_run_config(op: dg.OpDefinition) -> bool:
    """Whether the op has the config of `sqlmesh_assets`."""
    return bool(getattr(_function(op), "sqlmesh_run_config", False))


def parameters_annotated_with(op: dg.OpDefinition, annotation: type) -> set[str]:
    """The parameters of the op's function that are annotated with exactly this class."""
    hints = get_type_hints(inspect.unwrap(_function(op)))
    return {name for name, hint in hints.items() if hint is annotation}


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with evaluated annotations: Dagster does not read annotations that are text."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        raise dg.DagsterInvalidDefinitionError(
            f"an annotation of {function.__name__} can't be read: {error}; Dagster needs the name "
            "at module level, not only in `if TYPE_CHECKING` or in another function"
        ) from None


def _function(op: dg.OpDefinition) -> Any:
    return getattr(op.compute_fn, "decorated_fn", None)

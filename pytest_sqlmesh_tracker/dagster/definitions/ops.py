"""Which assets an op is of: its function knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

import dagster as dg

from .specs import ProjectAssets


def run_by(
    assets: ProjectAssets, function: Callable[..., Any], *, run_config: bool
) -> Callable[..., Any]:
    """The function, as one that knows which assets it runs, and whether by our run config.

    It yields what the function yields, or what is in what it returns.
    """

    @wraps(function)
    def stream(*args: Any, **kwargs: Any) -> Any:
        yield from function(*args, **kwargs) or ()

    known: Any = stream
    known.__signature__ = _signature(function)
    known.sqlmesh_assets, known.sqlmesh_run_config = assets, run_config
    return known  # type: ignore[no-any-return]


def assets_of_op(op: dg.OpDefinition) -> ProjectAssets | None:
    """The assets that an op runs; None if it is none of ours."""
    assets = getattr(_function(op), "sqlmesh_assets", None)
    return assets if isinstance(assets, ProjectAssets) else None


def takes_run_config(op: dg.OpDefinition) -> bool:
    """Whether the op's config is ours."""
    return bool(getattr(_function(op), "sqlmesh_run_config", False))


def annotated(op: dg.OpDefinition, kind: type) -> set[str]:
    """The parameters of the op's function that are annotated with this very class."""
    hints = get_type_hints(inspect.unwrap(_function(op)))
    return {name for name, hint in hints.items() if hint is kind}


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Dagster takes annotations as they are; those of many modules are texts."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        raise dg.DagsterInvalidDefinitionError(
            f"an annotation of {function.__name__} can't be read: {error}; Dagster needs it where "
            "the module is, not only in `if TYPE_CHECKING` or in another function"
        ) from None


def _function(op: dg.OpDefinition) -> Any:
    return getattr(op.compute_fn, "decorated_fn", None)

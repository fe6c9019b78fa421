"""Selectors that mean the very models: SQLMesh's selector language knows no quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.models.index import did_you_mean
from pytest_sqlmesh_tracker.tracking.errors.types import SelectorError

from .environments import planned_snapshots
from .names import display_names, shown
from .nodes import project_nodes


def selectors_of(context: Any, names: Sequence[str]) -> list[str]:
    """What to pass as `select_models` or `restate_models`, so that these models are meant.

    Args:
        names: as they are shown. One that the context does not know stays as it is: SQLMesh is to
            say that there is none.

    Raises:
        SelectorError: there is no selector for one of them.
    """
    nodes = project_nodes(context)
    fqns = {name: fqn for fqn, name in display_names(nodes, context.default_catalog).items()}
    known = [name for name in names if name in fqns]
    if _selected(context, known) == {fqns[name] for name in known}:
        return list(names)
    return [_selector(context, name, fqns[name]) if name in fqns else name for name in names]


def _selector(context: Any, name: str, fqn: str) -> str:
    for selector in _candidates(context, name, fqn):
        if _selected(context, [selector]) == {fqn}:
            return selector
    raise SelectorError(f"SQLMesh has no selector that means {name} and no other model")


def _candidates(context: Any, name: str, fqn: str) -> Iterator[str]:
    yield name
    yield exp.to_table(fqn).sql(dialect=context.default_dialect, identify=True)
    # Blanks and operators can't be said, nor capitals where the project's dialect has none; globs
    # are held against the name as it is written.
    yield "*" + re.sub(r"[^\w.]", "?", context.models[fqn].name)


def _selected(context: Any, selectors: Iterable[str]) -> set[str]:
    try:
        return set(context._new_selector().expand_model_selections(selectors))
    except Exception:
        # It does not parse.
        return set()


def unmatched_selector(
    context: Any, environment: str | None, selectors: Sequence[str]
) -> str | None:
    """What is wrong with the first selector that matches no model of an environment, in one line.

    As `Context.run` selects (sqlmesh/core/context.py, `_select_models_for_run`). None as well where
    the environment can't be run, or a selector does not parse: SQLMesh says so itself. What was
    changed since a Git branch may be nothing.
    """
    if not selectors:
        return None
    from sqlmesh.core.environment import Environment

    name = Environment.sanitize_name(environment or context.config.default_target_environment)
    try:
        snapshots = list(planned_snapshots(context, name))
        names = [shown(s.name, context.default_catalog) for s in snapshots if s.is_model]
    except Exception:
        return None
    if not snapshots:
        return None
    for selector in selectors:
        if "git:" in selector:
            continue
        try:
            if context._select_models_for_run([selector], True, snapshots):
                continue
        except Exception:
            return None
        hint = did_you_mean(selector, names, "it may never have been planned")
        return f"--select-model {selector}: no model of environment {name} is selected; {hint}"
    return None

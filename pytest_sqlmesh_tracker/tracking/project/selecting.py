"""Selectors that match exact models: SQLMesh's selector language does not support quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.tracking.errors.types import SelectorError

from .environments import planned_snapshots
from .names import display_names, shown
from .nodes import project_nodes


def selectors_of(context: Any, names: Sequence[str]) -> list[str]:
    """The value of `select_models` or `restate_models` that matches exactly these models.

    Args:
        names: display names. A name that the context does not have stays as it is, so that SQLMesh
            reports it.

    Raises:
        SelectorError: one of the models has no such selector.
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
    raise SelectorError(f"SQLMesh has no selector for {name} alone")


def _candidates(context: Any, name: str, fqn: str) -> Iterator[str]:
    yield name
    yield exp.to_table(fqn).sql(dialect=context.default_dialect, identify=True)
    # Selectors can't contain spaces or operators, nor capitals that the project's dialect folds;
    # globs are matched against the name as written.
    yield "*" + re.sub(r"[^\w.]", "?", context.models[fqn].name)


def _selected(context: Any, selectors: Iterable[str]) -> set[str]:
    try:
        return set(context._new_selector().expand_model_selections(selectors))
    except Exception:
        # The selectors do not parse.
        return set()


def unmatched_selector(
    context: Any, environment: str | None, selectors: Sequence[str]
) -> str | None:
    """A one-line error for the first selector that matches no model of an environment, or None.

    Models are selected as in `Context.run` (sqlmesh/core/context.py, `_select_models_for_run`).
    None as well if the environment can't be run or a selector does not parse, which SQLMesh reports
    itself. `git:` selectors are skipped, since there may be no changes.
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
        hint = did_you_mean(selector, names, "the model may never have been planned")
        return f"--select-model {selector} selects no model of environment {name}; {hint}"
    return None

"""Selectors that mean the very models: SQLMesh's selector language knows no quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlglot import exp

from .names import display_names


class SelectorError(ValueError):
    """SQLMesh has no selector that means one model, and no other."""


def selectors_of(context: Any, names: Sequence[str]) -> list[str]:
    """What to pass as `select_models` or `restate_models`, so that these models are meant.

    Args:
        names: as they are shown. One that the context does not know stays as it is: SQLMesh is to
            say that there is none.

    Raises:
        SelectorError: there is no selector for one of them.
    """
    nodes = {**context.models, **context.standalone_audits}
    fqns = {name: fqn for fqn, name in display_names(nodes, context.default_catalog).items()}
    known = [name for name in names if name in fqns]
    if _meant(context, known) == {fqns[name] for name in known}:
        return list(names)
    return [_selector(context, name, fqns[name]) if name in fqns else name for name in names]


def _selector(context: Any, name: str, fqn: str) -> str:
    for selector in _candidates(context, name, fqn):
        if _meant(context, [selector]) == {fqn}:
            return selector
    raise SelectorError(f"SQLMesh has no selector that means {name} and no other model")


def _candidates(context: Any, name: str, fqn: str) -> Iterator[str]:
    yield name
    yield exp.to_table(fqn).sql(dialect=context.default_dialect, identify=True)
    # Blanks and operators can't be said, nor capitals where the project's dialect has none; globs
    # are held against the name as it is written.
    yield "*" + re.sub(r"[^\w.]", "?", context.models[fqn].name)


def _meant(context: Any, selectors: Iterable[str]) -> set[str]:
    try:
        return set(context._new_selector().expand_model_selections(selectors))
    except Exception:
        # It does not parse.
        return set()

"""Which models of a project become assets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from pytest_sqlmesh_tracker.models.definitions import ModelDefinition
from pytest_sqlmesh_tracker.models.index import ModelIndex, UnknownModelError, close_matches

_NO_ASSETS = frozenset({"external", "embedded", "audit"})


def asset_models(
    models: Sequence[ModelDefinition],
    select: str | Sequence[str] = "*",
    exclude: str | Sequence[str] | None = None,
) -> tuple[ModelDefinition, ...]:
    """The models that are selected and not excluded, in the given order.

    External and embedded models and standalone audits are never evaluated: they are no assets.

    Args:
        select: names, globs, and `tag:` with a tag or a glob; `+` before one adds what is upstream,
            after one what is downstream of it.

    Raises:
        UnknownModelError: nothing matches one of them, or nothing is left.
    """
    candidates = [model for model in models if model.kind not in _NO_ASSETS]
    chosen = _named(models, select) - (_named(models, exclude) if exclude else set())
    found = tuple(model for model in candidates if model.name in chosen)
    if not found:
        raise UnknownModelError(f"select={select!r}, exclude={exclude!r} leave no model")
    return found


def listed(selectors: str | Sequence[str]) -> Sequence[str]:
    """The selectors, of which there can be one alone."""
    return [selectors] if isinstance(selectors, str) else selectors


def _named(models: Sequence[ModelDefinition], selectors: str | Sequence[str]) -> set[str]:
    return set().union(*(_meant(models, selector) for selector in listed(selectors)))


def _meant(models: Sequence[ModelDefinition], selector: str) -> set[str]:
    bare = selector.strip("+")
    if bare.startswith("tag:"):
        named = _tagged(models, bare.removeprefix("tag:"))
    else:
        named = {model.name for model in ModelIndex(models, "the project").matching(bare)}
    upstream = {model.name: model.upstream for model in models}
    downstream: dict[str, list[str]] = {}
    for name, parents in upstream.items():
        for parent in parents:
            downstream.setdefault(parent, []).append(name)
    return (
        named
        | (reached(named, upstream) if selector.startswith("+") else set())
        | (reached(named, downstream) if selector.endswith("+") else set())
    )


def _tagged(models: Iterable[ModelDefinition], tag: str) -> set[str]:
    found = {model.name for model in models if any(fnmatchcase(own, tag) for own in model.tags)}
    if not found:
        tags = sorted({each for model in models for each in model.tags})
        close = close_matches(tag, tags)
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else f"it has {', '.join(tags) or 'none'}"
        )
        raise UnknownModelError(f"no model of the project has the tag {tag!r}; {hint}")
    return found


def reached(begin: Iterable[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    """What the edges lead to, at any distance."""
    reached: set[str] = set()
    queue = list(begin)
    while queue:
        for name in edges.get(queue.pop(), ()):
            if name not in reached:
                reached.add(name)
                queue.append(name)
    return reached

"""Which models of a project become assets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from pytest_sqlmesh_tracker.models.definitions import ModelDefinition
from pytest_sqlmesh_tracker.models.graph import reachable
from pytest_sqlmesh_tracker.models.index import ModelIndex, UnknownModelError
from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS
from pytest_sqlmesh_tracker.suggestions import close_matches


def asset_models(
    models: Sequence[ModelDefinition],
    select: str | Sequence[str] = "*",
    exclude: str | Sequence[str] | None = None,
) -> tuple[ModelDefinition, ...]:
    """The models that are selected and not excluded, in their order.

    External and embedded models and standalone audits do not become assets: SQLMesh never evaluates
    them.

    Args:
        select: names, globs, and `tag:` followed by a tag or a glob; `+` before a selector adds
            everything upstream, `+` after it everything downstream.

    Raises:
        UnknownModelError: a selector matches nothing, or no model is left.
    """
    candidates = [model for model in models if model.kind not in ONLY_AUDITED_KINDS]
    names = _matches(models, select) - (_matches(models, exclude) if exclude else set())
    selected = tuple(model for model in candidates if model.name in names)
    if not selected:
        raise UnknownModelError(f"select={select!r}, exclude={exclude!r} leave no models")
    return selected


def listed(selectors: str | Sequence[str]) -> Sequence[str]:
    """The selectors as a sequence: a single one can be written as plain text."""
    return [selectors] if isinstance(selectors, str) else selectors


def _matches(models: Sequence[ModelDefinition], selectors: str | Sequence[str]) -> set[str]:
    return set().union(*(_matches_of_one(models, selector) for selector in listed(selectors)))


def _matches_of_one(models: Sequence[ModelDefinition], selector: str) -> set[str]:
    bare = selector.strip("+")
    if bare.startswith("tag:"):
        matches = _tagged(models, bare.removeprefix("tag:"))
    else:
        matches = {model.name for model in ModelIndex(models, "the project").matching(bare)}
    selected = set(matches)
    if selector.startswith("+"):
        upstream = {model.name: model.upstream for model in models}
        selected |= reachable(matches, lambda name: upstream.get(name, ()))
    if selector.endswith("+"):
        downstream: dict[str, list[str]] = {}
        for model in models:
            for parent in model.upstream:
                downstream.setdefault(parent, []).append(model.name)
        selected |= reachable(matches, lambda name: downstream.get(name, ()))
    return selected


def _tagged(models: Iterable[ModelDefinition], tag: str) -> set[str]:
    matches = {model.name for model in models if any(fnmatchcase(own, tag) for own in model.tags)}
    if not matches:
        tags = sorted({each for model in models for each in model.tags})
        close = close_matches(tag, tags)
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else f"existing tags: {', '.join(tags) or 'none'}"
        )
        raise UnknownModelError(f"no model of the project has the tag {tag!r}; {hint}")
    return matches

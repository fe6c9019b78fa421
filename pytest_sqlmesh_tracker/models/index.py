"""The models of a report or a project, by every name that users can pass.

A model can be passed as its shown name, its fully qualified name, a SQLMesh object, or a glob.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS
from pytest_sqlmesh_tracker.suggestions import close_matches, either


class Named(Protocol):
    """Anything with the names and the kind of a model, such as an outcome."""

    @property
    def name(self) -> str:
        """The name that is shown."""

    @property
    def fqn(self) -> str:
        """The fully qualified name."""

    @property
    def kind(self) -> str:
        """SQLMesh's kind, in lower case."""


Model = TypeVar("Model", bound=Named)


class UnknownModelError(LookupError):
    """A name that no model has, or that several models have.

    Everything that takes a model raises it, so that nothing passes on a typo.
    """


def unquoted(name: str) -> str:
    """The name without the quotes around its parts: `"wh"."sales"."orders"` → `wh.sales.orders`."""
    return name.replace('"', "").replace("`", "")


def is_glob(name: str) -> bool:
    """Whether the name contains `*`, `?` or `[`."""
    return any(sign in name for sign in "*?[")


class _Globbed(Generic[Model]):
    """Models that globs can match."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = tuple(models)

    def matching(self, pattern: str) -> list[Model]:
        """The models that the glob matches by shown name, or else by fully qualified name.

        Case matters only between models whose names differ in nothing else.
        """
        folded = pattern.casefold()
        for texts in (self._names, self._fqns):
            matches = [
                model
                for model, text, alone in texts
                if fnmatchcase(text, pattern) or (alone and fnmatchcase(text.casefold(), folded))
            ]
            if matches:
                return matches
        return []

    @cached_property
    def _names(self) -> Sequence[tuple[Model, str, bool]]:
        return self._texts([model.name for model in self._models])

    @cached_property
    def _fqns(self) -> Sequence[tuple[Model, str, bool]]:
        return self._texts([model.fqn for model in self._models])

    def _texts(self, names: Sequence[str]) -> Sequence[tuple[Model, str, bool]]:
        """Each model, its name without quotes, and whether no other name differs only in case."""
        texts = [unquoted(name) for name in names]
        alike = Counter(text.casefold() for text in texts)
        alone = [alike[text.casefold()] == 1 for text in texts]
        return list(zip(self._models, texts, alone, strict=True))


class ModelIndex(Generic[Model]):
    """An index of models.

    Names are looked up regardless of case if the match is unique.
    """

    def __init__(self, models: Iterable[Model], among: str = "the report") -> None:
        """Index the models lazily, on first use.

        Args:
            models: in the order in which globs return them.
            among: what contains the models, for messages.
        """
        self._models = tuple(models)
        self._among = among

    def one(self, model: object) -> Model:
        """The model with this shown or fully qualified name, or the one that the object stands for.

        Raises:
            UnknownModelError: no model matches, or several do; the message has close matches.
            TypeError: the argument is neither a name nor a SQLMesh `Model` or `Snapshot`.
        """
        __tracebackhide__ = True
        name = _name_of(model)
        candidates = self._with_name(name)
        if len(candidates) == 1:
            return candidates[0]
        raise UnknownModelError(self._not_one(name))

    def matching(self, model: object) -> list[Model]:
        """All matching models, at least one. A name with `*`, `?` or `[` is a glob.

        A glob leaves out external and embedded models and standalone audits.

        Raises:
            UnknownModelError: nothing matches, or a name is ambiguous.
            TypeError: the argument is neither a name nor a SQLMesh `Model` or `Snapshot`.
        """
        __tracebackhide__ = True
        if not (isinstance(model, str) and is_glob(model)):
            return [self.one(model)]
        matches = self.candidates(model)
        if not matches:
            raise UnknownModelError(self.complaint(model))
        return matches

    def complaint(self, name: str) -> str:
        """Why a glob matches no model, or why a name does not match exactly one."""
        return self._no_match(name) if is_glob(name) else self._not_one(name)

    def _not_one(self, name: str) -> str:
        several = self._with_name(name)
        if not several:
            return self._unknown(name)
        names = ", ".join(sorted(f"{each.name} ({each.fqn})" for each in several))
        return f"{name!r} matches several models: {names}"

    def candidates(self, name: str) -> list[Model]:
        """All models that a name or a glob matches: several if the name is ambiguous, or none."""
        if not is_glob(name):
            return self._with_name(name)
        return self._exact.get(name, []) or self._globbed.matching(unquoted(name))

    def _with_name(self, name: str) -> list[Model]:
        bare = unquoted(name)
        return (
            self._exact.get(name)
            or self._unquoted.get(bare)
            or self._folded.get(bare.casefold())
            or []
        )

    @cached_property
    def _exact(self) -> Mapping[str, list[Model]]:
        return self._by(str)

    @cached_property
    def _unquoted(self) -> Mapping[str, list[Model]]:
        return self._by(unquoted)

    @cached_property
    def _folded(self) -> Mapping[str, list[Model]]:
        return self._by(lambda name: unquoted(name).casefold())

    def _by(self, text: Callable[[str], str]) -> Mapping[str, list[Model]]:
        by_text: dict[str, list[Model]] = {}
        for model in self._models:
            for each in {text(model.name), text(model.fqn)}:
                by_text.setdefault(each, []).append(model)
        return by_text

    @cached_property
    def _globbed(self) -> _Globbed[Model]:
        return _Globbed(model for model in self._models if model.kind not in ONLY_AUDITED_KINDS)

    def _unknown(self, name: str) -> str:
        names = [model.name for model in self._models]
        if not names:
            return f"no model {name!r}: {self._among} has no models"
        close = close_matches(name, names)
        if not close:
            # A name without its schema resembles only the last part.
            last_parts = {unquoted(each).rsplit(".", 1)[-1]: each for each in names}
            last_part = name.rsplit(".", 1)[-1]
            close = [last_parts[part] for part in close_matches(last_part, last_parts)]
        if close:
            return f"no model {name!r} in {self._among}; did you mean {either(close)}?"
        return f"no model {name!r} in {self._among}; it has {_some(names)}"

    def _no_match(self, pattern: str) -> str:
        names = [model.name for model in self._models if model.kind not in ONLY_AUDITED_KINDS]
        others = _Globbed(model for model in self._models if model.kind in ONLY_AUDITED_KINDS)
        left_out = others.matching(unquoted(pattern))
        close = close_matches(pattern, names)
        if close:
            known = f"close matches: {', '.join(close)}"
        else:
            known = f"it has {_some(names)}" if names else "it has no models that globs can match"
        if left_out and names:
            known += f"; globs exclude {_some([model.name for model in left_out])}"
        return f"no model matches {pattern!r} in {self._among}; {known}"


def _name_of(model: object) -> str:
    if isinstance(model, str):
        return model
    # A Model has `fqn`; a Snapshot has its fully qualified name in `name`.
    for attribute in ("fqn", "name"):
        name: Any = getattr(model, attribute, None)
        if isinstance(name, str):
            return name
    raise TypeError(
        f"a model must be a name, a glob, a Model or a Snapshot, not {type(model).__name__}"
    )


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(sorted(names)[:limit])
    more = len(names) - limit
    return f"{shown} and {more} more" if more > 0 else shown

"""Which models of reports the rules of a policy are for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache

from pytest_sqlmesh_tracker.models.matching import UnknownModelError, find_models, unquoted
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome

from .rules import GateRule


class Listing:
    """The models of a report, as many reports list them, and which rules are for each."""

    def __init__(self, outcomes: Sequence[ModelOutcome], rules: Mapping[int, GateRule]) -> None:
        self.outcomes = outcomes
        self.ambiguous: dict[str, str] = {}
        patterns = dict.fromkeys(pattern for rule in rules.values() for pattern in rule.models)
        texts_of = [_texts(o.name) | _texts(o.fqn) for o in outcomes] if patterns else []
        self._by_text: dict[str, list[int]] = {}
        for place, texts in enumerate(texts_of):
            for text in texts:
                self._by_text.setdefault(text, []).append(place)
        # Most models match no glob at all: one look at each tells.
        globs = _matcher(*filter(_is_glob, patterns))
        self._in_globs = [(n, texts) for n, texts in enumerate(texts_of) if any(map(globs, texts))]
        self.meant = {pattern: self._meant_by(pattern) for pattern in patterns}
        """Name or glob of a rule → names of the models."""
        self.models = {
            number: list(dict.fromkeys(name for one in rule.models for name in self.meant[one]))
            for number, rule in rules.items()
        }
        """Number of a rule → names of its models."""
        self.rules: dict[str, tuple[int, ...]] = {}
        """Name of a model → numbers of its rules, the last one first."""
        for number in sorted(rules, reverse=True):
            for name in self.models[number]:
                self.rules[name] = (*self.rules.get(name, ()), number)

    def _meant_by(self, pattern: str) -> list[str]:
        """What `find_models` finds among those that resemble the pattern; nothing if it raises."""
        places = set(self._by_text.get(unquoted(pattern).casefold(), ()))
        if _is_glob(pattern):
            matches = _matcher(pattern)
            places.update(place for place, texts in self._in_globs if any(map(matches, texts)))
        if not places:
            return []
        try:
            found = find_models([self.outcomes[place] for place in sorted(places)], pattern)
        except UnknownModelError as error:
            if not _is_glob(pattern):
                self.ambiguous[pattern] = str(error)
            return []
        return [outcome.name for outcome in found]

    def complaint(self, pattern: str) -> str:
        """What `find_models` says of a name or glob that none of these models has."""
        said = ""
        try:
            find_models(self.outcomes, pattern, "the reports")
        except UnknownModelError as error:
            said = str(error)
        return said


def _texts(name: str) -> set[str]:
    return {unquoted(name), unquoted(name).casefold()}


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


@lru_cache(maxsize=1024)
def _matcher(*globs: str) -> Callable[[str], object]:
    """Whether a text matches one of the globs, or its form without capitals."""
    texts = sorted({text for glob in globs for text in _texts(glob)})
    return re.compile("|".join(map(translate, texts)) or "(?!)").match


def unmatched(
    rules: Mapping[int, GateRule], listings: Iterable[Listing]
) -> Iterator[tuple[int, str]]:
    """Rules of which a name or a glob means nothing in any listing, or several models in one."""
    known = [listing for listing in dict.fromkeys(listings) if listing.outcomes]
    largest = max(known, key=lambda listing: len(listing.outcomes), default=None)
    for number, rule in rules.items():
        complaints = []
        for pattern in rule.models if largest else ():
            ambiguous = [each.ambiguous[pattern] for each in known if pattern in each.ambiguous]
            if ambiguous:
                complaints.append(ambiguous[0])
            elif largest and not any(listing.meant[pattern] for listing in known):
                complaints.append(largest.complaint(pattern))
        if complaints:
            yield number, "; ".join(complaints)

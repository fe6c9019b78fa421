"""Which models in reports match the rules of a policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_sqlmesh_tracker.models.index import ModelIndex, Named, is_glob

from .rules import GateRule


class Listing:
    """The models of one or more reports that list the same, and the rules that match each."""

    def __init__(self, outcomes: Sequence[Named], rules: Mapping[int, GateRule]) -> None:
        self.outcomes = outcomes
        self._index = ModelIndex(outcomes, "the reports")
        self.ambiguous: set[str] = set()
        """Names in rules that match several models."""
        patterns = dict.fromkeys(pattern for rule in rules.values() for pattern in rule.models)
        self.names = {pattern: self._names_of(pattern) for pattern in patterns}
        """Name or glob of a rule → names of the models."""
        self.models = {
            rule_index: list(dict.fromkeys(name for one in rule.models for name in self.names[one]))
            for rule_index, rule in rules.items()
        }
        """Index of a rule → names of its models."""
        self.rules: dict[str, tuple[int, ...]] = {}
        """Name of a model → indexes of its rules, the last one first."""
        for rule_index in sorted(rules, reverse=True):
            for name in self.models[rule_index]:
                self.rules[name] = (*self.rules.get(name, ()), rule_index)

    def _names_of(self, pattern: str) -> list[str]:
        """The names of the models that a name or a glob matches; empty if it is ambiguous."""
        models = self._index.candidates(pattern)
        if len(models) > 1 and not is_glob(pattern):
            self.ambiguous.add(pattern)
            return []
        return [model.name for model in models]

    def complaint(self, pattern: str) -> str:
        """Why a glob matches no model, or why a name does not match exactly one."""
        return self._index.complaint(pattern)


def unmatched(
    rules: Mapping[int, GateRule], listings: Iterable[Listing]
) -> Iterator[tuple[int, str]]:
    """Rules with a name or glob that matches nothing in any listing, or an ambiguous name."""
    known = [listing for listing in dict.fromkeys(listings) if listing.outcomes]
    largest = max(known, key=lambda listing: len(listing.outcomes), default=None)
    for rule_index, rule in rules.items():
        complaints = []
        for pattern in rule.models if largest else ():
            ambiguous = next((each for each in known if pattern in each.ambiguous), None)
            if ambiguous:
                complaints.append(ambiguous.complaint(pattern))
            elif largest and not any(listing.names[pattern] for listing in known):
                complaints.append(largest.complaint(pattern))
        if complaints:
            yield rule_index, "; ".join(complaints)

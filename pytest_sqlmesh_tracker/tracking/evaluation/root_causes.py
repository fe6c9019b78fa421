"""The failed models at the root of skipped ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

_Path = tuple[int, ...]
"""The position of a parent among the parents of each model, from the skipped model to a root."""


class RootCauses:
    """Finds the failed models that kept others from being evaluated; each is looked at once."""

    def __init__(
        self,
        failed: Set[str],
        parents: Callable[[str], Iterable[str]],
        passes_on: Callable[[str], bool],
    ) -> None:
        """Define what is a root and what leads to it.

        Args:
            failed: the roots; nothing upstream of them is looked at.
            parents: the direct parents of a model.
            passes_on: whether a model that has not failed makes its children wait for its parents.
        """
        self._failed = failed
        self._parents = parents
        self._passes_on = passes_on
        self._paths: dict[str, Mapping[str, _Path]] = {}

    def of(self, name: str) -> Sequence[str]:
        """The roots upstream of a model, the nearest first, as a breadth-first search finds them.

        They do not include the model itself.
        """
        paths = self._through_parents(name)
        return sorted(paths, key=lambda root: (len(paths[root]), paths[root]))

    def _through_parents(self, name: str) -> Mapping[str, _Path]:
        """The roots upstream of a model, with the first of the shortest paths to each."""
        shortest: dict[str, _Path] = {}
        for position, parent in enumerate(self._parents(name)):
            for root, path in self._paths_from(parent).items():
                known, longer = shortest.get(root), (position, *path)
                if known is None or len(longer) < len(known):
                    shortest[root] = longer
        return shortest

    def _paths_from(self, start: str) -> Mapping[str, _Path]:
        """The roots from a model on: the model itself, or those upstream."""
        stack = [start]
        # Without recursion: a chain of models can be longer than Python's stack.
        while start not in self._paths:
            name = stack[-1]
            if name in self._failed:
                self._paths[stack.pop()] = {name: ()}
            elif not self._passes_on(name):
                self._paths[stack.pop()] = {}
            elif unknown := [each for each in self._parents(name) if each not in self._paths]:
                stack += unknown
            else:
                self._paths[stack.pop()] = self._through_parents(name)
        return self._paths[start]

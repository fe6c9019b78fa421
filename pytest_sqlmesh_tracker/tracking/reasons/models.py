"""The models of one report: their nodes, names, parents and order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.loaded import Before
from pytest_sqlmesh_tracker.tracking.project.names import display_names

logger = logging.getLogger("pytest_sqlmesh_tracker")


class Models:
    """The models of the project and of the environment or plan, by fully qualified name."""

    def __init__(self, recording: Recording, before: Before) -> None:
        self._recording = recording
        self._before = before
        self._parents: dict[str, list[str]] = {}

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """SQLMesh's model or standalone audit for each; the environment's comes first."""
        nodes = dict(self._recording.local_nodes)
        for round_ in self._recording.rounds:
            # The environment may have lost some by the time SQLMesh restarted the run.
            nodes.update({name: snapshot.node for name, snapshot in round_.snapshots.items()})
        frozen = self._before.frozen.items()
        nodes.update({name: snapshot.snapshot.node for name, snapshot in frozen})
        return nodes

    @cached_property
    def names(self) -> dict[str, str]:
        """The name that the report shows for each model."""
        try:
            return display_names(self.nodes, self._recording.default_catalog)
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to shorten names")
            return {fqn: fqn for fqn in self.nodes}

    def shown(self, fqns: Iterable[str]) -> tuple[str, ...]:
        """The names that the report shows for these models."""
        return tuple(self.names.get(fqn, fqn) for fqn in fqns)

    def parents(self, fqn: str) -> Sequence[str]:
        """The direct parents of a model that are in the report, sorted."""
        if fqn not in self._parents:
            frozen = self._before.frozen.get(fqn)
            parents: Iterable[str] = (
                (parent.name for parent in frozen.snapshot.parents)
                if frozen
                else self.nodes[fqn].depends_on
            )
            self._parents[fqn] = sorted(parent for parent in parents if parent in self.nodes)
        return self._parents[fqn]

    def in_order(self) -> list[str]:
        """All models in topological order."""
        sorter = TopologicalSorter({fqn: self.parents(fqn) for fqn in sorted(self.nodes)})
        try:
            sorter.prepare()
        except CycleError:
            # The environment's models and their local edits may form a cycle.
            return sorted(self.nodes)
        ordered: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            ordered += ready
            sorter.done(*ready)
        return ordered

"""Assets of others that stand between models: below one that an op runs, and above another one.

Where they run in the same Dagster run, Dagster divides the op into several steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from .metadata import MODEL

Keys = Set[dg.AssetKey]


@dataclass(frozen=True)
class Between:
    """What stands between the assets of one op."""

    graph: Any
    """Dagster's graph of all assets of a code location."""
    own: Keys
    """The assets of the op."""

    @classmethod
    def of_step(cls, context: Any, own: Keys) -> Between:
        """In the code location of a step."""
        graph = context.job_def.asset_layer.asset_graph
        # That of a job knows of nothing but its own assets.
        while (source := graph.source_asset_graph) is not graph:
            graph = source
        return cls(graph, own & graph.get_all_asset_keys())

    @cached_property
    def keys(self) -> Keys:
        """All of them, whether or not they can be materialized."""
        return (self._downstream(self.own) & self._upstream(self.own)) - self.own

    @cached_property
    def own_below(self) -> Keys:
        """The assets of the op that come after one that stands between."""
        return self._downstream(self.keys) & self.own

    @cached_property
    def requestable(self) -> Keys:
        """Those that a run can be requested of, with what is materialized together with them: not
        what is partitioned, nor what SQLMesh evaluates, which has schedules of its own."""
        return frozenset().union(
            *(
                together
                for key in self.keys
                if all(map(self._is_requestable, together := self._together(key)))
            )
        )

    def to_request(self, instance: dg.DagsterInstance, due: Keys) -> Keys:
        """Those to materialize in the same run as what is due: it reads them, and they are older
        than what they read, or about to be."""
        read_by_due = _reached(due, lambda key: self.graph.get(key).parent_keys & self.keys)
        wanted = read_by_due & self.requestable
        requested: set[dg.AssetKey] = set()
        for key in filter(wanted.__contains__, self.graph.toposorted_asset_keys):
            read = self.graph.get(key).parent_keys & (self.own | self.keys)
            if read & (due | requested) or self._is_behind(instance, key, read):
                requested |= self._together(key)
        return requested

    def _is_behind(self, instance: dg.DagsterInstance, key: dg.AssetKey, read: Keys) -> bool:
        latest = max((_latest(instance, other) for other in read), default=0)
        return _latest(instance, key) < latest

    def _is_requestable(self, key: dg.AssetKey) -> bool:
        node = self.graph.get(key)
        return (
            node.is_materializable
            and node.partitions_def is None
            and MODEL not in node.metadata
            and key not in self.own
        )

    def _together(self, key: dg.AssetKey) -> Keys:
        keys: Keys = self.graph.get(key).execution_set_asset_keys
        return keys

    def _downstream(self, keys: Keys) -> Keys:
        return _reached(keys, lambda key: self.graph.get(key).child_keys)

    def _upstream(self, keys: Keys) -> Keys:
        return _reached(keys, lambda key: self.graph.get(key).parent_keys)


@dataclass(frozen=True)
class WithBetween(dg.AssetSelection):
    """The assets of an op, and those between them that a run can be requested of."""

    own: frozenset[dg.AssetKey]

    def resolve_inner(self, asset_graph: Any, allow_missing: bool) -> Keys:
        """As Dagster resolves a selection."""
        known = dg.AssetSelection.assets(*self.own).resolve_inner(
            asset_graph, allow_missing=allow_missing
        )
        return known | Between(asset_graph, known).requestable


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """Where in Dagster's log the latest materialization is; 0, if there is none."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else 0


def _reached(begin: Keys, following: Callable[[dg.AssetKey], Iterable[dg.AssetKey]]) -> Keys:
    reached, queue = set(begin), list(begin)
    while queue:
        new = set(following(queue.pop())) - reached
        reached |= new
        queue += new
    return reached

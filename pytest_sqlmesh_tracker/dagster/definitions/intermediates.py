"""Intermediate assets: those of other ops downstream of one model of an op and upstream of another.

Where they run in the same Dagster run, Dagster divides the op into several steps.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.models.graph import reachable

from .metadata import MODEL

Keys = Set[dg.AssetKey]


@dataclass(frozen=True)
class IntermediateAssets:
    """The assets of other ops between the assets of one op."""

    graph: Any
    """Dagster's graph of all assets of a code location."""
    own: Keys
    """The assets of the op."""

    @classmethod
    def of_step(cls, context: Any, own: Keys) -> IntermediateAssets:
        """The intermediate assets in the code location of a step."""
        graph = context.job_def.asset_layer.asset_graph
        # The graph of a job contains only the job's own assets.
        while (source := graph.source_asset_graph) is not graph:
            graph = source
        return cls(graph, own & graph.get_all_asset_keys())

    @cached_property
    def keys(self) -> Keys:
        """The intermediate assets, whether or not they can be materialized."""
        return (self._downstream(self.own) & self._upstream(self.own)) - self.own

    @cached_property
    def own_downstream(self) -> Keys:
        """The assets of the op that are downstream of an intermediate asset."""
        return self._downstream(self.keys) & self.own

    @cached_property
    def requestable(self) -> Keys:
        """The intermediate assets for which a run can be requested, and the assets that are
        materialized together with them.

        Partitioned assets are left out, and so are the models of other ops, which have schedules of
        their own.
        """
        return frozenset().union(
            *(
                together
                for key in self.keys
                if all(map(self._is_requestable, together := self._together(key)))
            )
        )

    def outdated_upstream_of(self, due: Keys, instance: dg.DagsterInstance) -> Keys:
        """Those to materialize in the same run as the assets that are due.

        The due assets read them, and they are older than what they read themselves, or will be as
        soon as the due assets are materialized.
        """
        upstream = self._upstream_within(due, self.keys) & self.requestable
        outdated: set[dg.AssetKey] = set()
        for key in filter(upstream.__contains__, self.graph.toposorted_asset_keys):
            read = self.graph.get(key).parent_keys & (self.own | self.keys)
            if read & (due | outdated) or self._is_older(instance, key, read):
                outdated |= self._together(key)
        return outdated

    def _is_older(self, instance: dg.DagsterInstance, key: dg.AssetKey, read: Keys) -> bool:
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
        return reachable(keys, lambda key: self.graph.get(key).child_keys)

    def _upstream(self, keys: Keys) -> Keys:
        return reachable(keys, lambda key: self.graph.get(key).parent_keys)

    def _upstream_within(self, keys: Keys, allowed: Keys) -> Keys:
        return reachable(keys, lambda key: self.graph.get(key).parent_keys & allowed)


@dataclass(frozen=True)
class WithIntermediates(dg.AssetSelection):
    """The assets of an op, and the intermediate assets for which a run can be requested."""

    own: frozenset[dg.AssetKey]

    def resolve_inner(self, asset_graph: Any, allow_missing: bool) -> Keys:
        """The keys of these assets. Dagster calls it."""
        own = dg.AssetSelection.assets(*self.own).resolve_inner(
            asset_graph, allow_missing=allow_missing
        )
        return own | IntermediateAssets(asset_graph, own).requestable


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """The position of the asset's latest materialization in Dagster's event log; 0 without one."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else 0

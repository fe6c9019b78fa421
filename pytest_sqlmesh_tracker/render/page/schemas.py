"""The models of a report by schema, which are drawn if single models do not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_NAME = re.compile(r'(?s)(?:(.*)\.)?("(?:[^"]|"")*"|[^."]*)')


class SchemaGroup(NamedTuple):
    """A schema and its models, by position, in their original order."""

    name: str
    models: tuple[int, ...]
    reads: tuple[int, ...]
    """The positions of the groups whose models its models read."""
    mainly_reads: tuple[int, ...]
    """Those of `reads` that are above it and have enough edges to shape the drawing."""
    row: int
    """The row, from the top, from 0: one below the last of those that it mainly reads."""


def split(name: str) -> tuple[str, str]:
    """The schema and the rest: `other."my.schema".orders` → `other."my.schema"`, `orders`."""
    match = _NAME.fullmatch(name)
    return ("", name) if match is None else (match[1] or "", match[2])


def by_schema(names: Sequence[str], parents: Sequence[Iterable[int]]) -> list[SchemaGroup]:
    """Group models by schema, upstream first.

    Args:
        names: the names of the models, in topological order.
        parents: for each model, the positions of those that it reads.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(split(name)[0], []).append(place)
    # Schemas often read each other: the one whose models are further upstream on average is first.
    depths = _depths(parents)
    order = sorted(members, key=lambda s: sum(depths[m] for m in members[s]) / len(members[s]))
    at = {model: place for place, schema in enumerate(order) for model in members[schema]}
    links = Counter((at[p], at[m]) for m, reads in enumerate(parents) for p in reads)
    rows: list[int] = []
    groups = []
    for place, schema in enumerate(order):
        reads = sorted(one for one, other in links if other == place and one != place)
        above = {one: links[one, place] for one in reads if one < place}
        # A few edges between neighboring schemas must not turn the neighbors into a chain.
        mainly = [one for one, edges in above.items() if 2 * edges >= max(above.values())]
        rows.append(max((rows[one] for one in mainly), default=-1) + 1)
        group = SchemaGroup(
            schema, tuple(members[schema]), tuple(reads), tuple(mainly), rows[place]
        )
        groups.append(group)
    return groups


def _depths(parents: Sequence[Iterable[int]]) -> list[int]:
    """The length of the longest path upstream of each model; in a cycle, of a part of it."""
    depths: list[int] = []
    for place, reads in enumerate(parents):
        depths.append(max((depths[p] + 1 for p in reads if p < place), default=0))
    return depths

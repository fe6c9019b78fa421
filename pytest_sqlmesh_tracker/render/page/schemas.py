"""The models of a report by their schemas: what is drawn where single models don't fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_NAME = re.compile(r'(?s)(?:(.*)\.)?("(?:[^"]|"")*"|[^."]*)')


class SchemaGroup(NamedTuple):
    """A schema, and by their places the models in it, in the order given."""

    name: str
    models: tuple[int, ...]
    reads: tuple[int, ...]
    """The schemas, by their places among the groups, in which its models read others."""
    mainly_reads: tuple[int, ...]
    """Those of them that are above it, and with as many edges as make the drawing's shape."""
    row: int
    """From the top, from 0: one below the last of those that it mainly reads."""


def split(name: str) -> tuple[str, str]:
    """The schema and the rest: `other."my.schema".orders` → `other."my.schema"`, `orders`."""
    match = _NAME.fullmatch(name)
    return ("", name) if match is None else (match[1] or "", match[2])


def by_schema(names: Sequence[str], parents: Sequence[Iterable[int]]) -> list[SchemaGroup]:
    """Group models by schema, upstream first.

    Args:
        names: of the models, in topological order.
        parents: for each the places of those that it reads.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(split(name)[0], []).append(place)
    # Schemas often read each other: those come first whose models are further upstream on average.
    depths = _depths(parents)
    order = sorted(members, key=lambda s: sum(depths[m] for m in members[s]) / len(members[s]))
    at = {model: place for place, schema in enumerate(order) for model in members[schema]}
    links = Counter((at[p], at[m]) for m, reads in enumerate(parents) for p in reads)
    rows: list[int] = []
    groups = []
    for place, schema in enumerate(order):
        reads = sorted(one for one, other in links if other == place and one != place)
        above = {one: links[one, place] for one in reads if one < place}
        # A few models that read another one's neighbor must not make a chain of the neighbors.
        mainly = [one for one, edges in above.items() if 2 * edges >= max(above.values())]
        rows.append(max((rows[one] for one in mainly), default=-1) + 1)
        group = SchemaGroup(
            schema, tuple(members[schema]), tuple(reads), tuple(mainly), rows[place]
        )
        groups.append(group)
    return groups


def _depths(parents: Sequence[Iterable[int]]) -> list[int]:
    """How many models each has upstream of it in a row; of what comes in a cycle, some."""
    depths: list[int] = []
    for place, reads in enumerate(parents):
        depths.append(max((depths[p] + 1 for p in reads if p < place), default=0))
    return depths

"""The layout of a report's model graph. Pure: it does not depend on reports.

Layers run from left to right: a model is to the right of everything that it reads. Its order within
its layer follows its neighbors (barycenters), so that few edges cross; its height follows them as
far as the gaps allow.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from math import ceil, sqrt
from typing import NamedTuple
from unicodedata import east_asian_width

NODE_HEIGHT = 28
_ROW = 40
_LANE = 14
"""The height that a long edge takes up in the layers that it passes, in pixels."""
_MARGIN = 18
_COLUMN_GAP = 64
_SPLIT_GAP = 16
_LABEL = 30
_SWEEPS = 8
_MOST_BENDS = 3000
"""If there are more bends, long edges get no lanes, so that hostile graphs can be drawn as well."""


class Node(NamedTuple):
    """A model's box: its upper left corner, in pixels."""

    label: str
    layer: int
    x: int
    y: int
    width: int


class Edge(NamedTuple):
    """An edge from a model to one that reads it, by their positions among the nodes."""

    parent: int
    child: int
    path: str
    """The path in SVG syntax."""


class Graph(NamedTuple):
    """The drawing. The nodes are in the order of the labels."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int


def layout(labels: Sequence[str], parents: Sequence[Iterable[int]]) -> Graph:
    """Lay out the graph of models.

    Args:
        labels: the name of each model; long ones are shortened in the middle.
        parents: for each model, the positions of those that it reads. Cycles are drawn; an edge
            from a model to itself is not.
    """
    edges = [sorted({p for p in reads if p != n}) for n, reads in enumerate(parents)]
    # The invocations of a session usually have the same models.
    return _drawn(tuple(map(_shortened, labels)), tuple(map(tuple, edges)))


@lru_cache(maxsize=8)
def _drawn(labels: tuple[str, ...], parents: tuple[tuple[int, ...], ...]) -> Graph:
    return _Layout(labels, parents).graph()


class _Layout:
    """A layout in progress. Vertices are the models, by number, then the bends of long edges."""

    def __init__(self, labels: Sequence[str], parents: Sequence[Sequence[int]]) -> None:
        self._labels = labels
        self._layer = _layers(parents)
        self._above: list[list[int]] = [[] for _ in labels]
        self._below: list[list[int]] = [[] for _ in labels]
        self._edges = [(p, child) for child, reads in enumerate(parents) for p in reads]
        spans = [self._layer[child] - self._layer[parent] for parent, child in self._edges]
        bends = sum(span - 1 for span in spans if span > 1) <= _MOST_BENDS
        self._routes = [
            self._route(parent, child, bends and span > 1)
            for (parent, child), span in zip(self._edges, spans, strict=True)
        ]
        self._members: list[list[int]] = [[] for _ in range(max(self._layer, default=-1) + 1)]
        for vertex, layer in enumerate(self._layer):
            self._members[layer].append(vertex)

    def _route(self, parent: int, child: int, bends: bool) -> list[int]:
        """The vertices that an edge passes, one per layer; new bends become neighbors."""
        route = [parent]
        if bends:
            for layer in range(self._layer[parent] + 1, self._layer[child]):
                route.append(len(self._layer))
                self._layer.append(layer)
                self._above.append([])
                self._below.append([])
        route.append(child)
        for upper, lower in pairwise(route):
            if self._layer[upper] < self._layer[lower]:
                self._below[upper].append(lower)
                self._above[lower].append(upper)
        return route

    def graph(self) -> Graph:
        self._order()
        splits = self._splits()
        middles = self._heights(splits)
        lefts, widths = self._columns(splits)
        nodes = []
        for number, label in enumerate(self._labels):
            layer = self._layer[number]
            top = round(middles[number] - NODE_HEIGHT / 2)
            nodes.append(Node(label, layer, lefts[number], top, widths[layer]))
        right = max((node.x + node.width for node in nodes), default=0)
        bottom = max(middles, default=0) + NODE_HEIGHT / 2
        paths = [self._path(route, nodes, lefts, middles, splits) for route in self._routes]
        edges = [Edge(*ends, path) for ends, path in zip(self._edges, paths, strict=True)]
        return Graph(tuple(nodes), tuple(edges), right + _MARGIN, round(bottom) + _MARGIN)

    def _order(self) -> None:
        """Sort each layer by its neighbors' mean places, back and forth; keep the best order."""
        places = self._places()
        best, fewest = [*self._members], self._crossings(places)
        for sweep in range(_SWEEPS):
            neighbors = self._below if sweep % 2 else self._above
            layers = range(len(self._members))
            for layer in reversed(layers) if sweep % 2 else layers:
                members = self._members[layer]
                pull = {v: _mean([places[n] for n in neighbors[v]], places[v]) for v in members}
                self._members[layer] = ordered = sorted(members, key=pull.__getitem__)
                places.update(_spread(ordered))
            crossings = self._crossings(places)
            if crossings < fewest:
                best, fewest = [*self._members], crossings
        self._members = best

    def _places(self) -> dict[int, float]:
        return {v: at for members in self._members for v, at in _spread(members).items()}

    def _crossings(self, places: dict[int, float]) -> int:
        """The number of crossings between edges that begin in the same layer."""
        total = 0
        for members in self._members:
            ends: list[float] = []
            for vertex in sorted(members, key=places.__getitem__):
                below = [places[child] for child in self._below[vertex]]
                total += sum(len(ends) - bisect_right(ends, end) for end in below)
                for end in below:
                    insort(ends, end)
        return total

    def _splits(self) -> list[int]:
        """The number of columns into which each layer is split, so that no layer gets too tall."""
        tallest = max(12 * _ROW, 1.5 * _ROW * sqrt(len(self._labels)))
        models = [sum(v < len(self._labels) for v in members) for members in self._members]
        return [max(1, ceil(count * _ROW / tallest)) for count in models]

    def _heights(self, splits: list[int]) -> list[float]:
        """The vertical center of each vertex: near its neighbors, in order, without overlaps."""
        gaps = []
        for members, split in zip(self._members, splits, strict=True):
            rooms = [_ROW if v < len(self._labels) else _LANE for v in members]
            gaps.append([(a + b) / 2 / split for a, b in pairwise(rooms)])
        at = [0.0] * len(self._layer)
        for members, gap in zip(self._members, gaps, strict=True):
            stacked = list(accumulate(gap, initial=0.0))
            for vertex, place in zip(members, stacked, strict=True):
                at[vertex] = place - stacked[-1] / 2
        for sweep in range(4):
            layers = range(len(self._members))
            for layer in reversed(layers) if sweep % 2 else layers:
                members = self._members[layer]
                near = self._below if sweep % 2 else self._above
                ideal = [_mean([at[n] for n in near[v]], at[v]) for v in members]
                for vertex, place in zip(members, _settled(ideal, gaps[layer]), strict=True):
                    at[vertex] = place
        top = min(at, default=0.0) - NODE_HEIGHT / 2 - _MARGIN
        return [place - top for place in at]

    def _columns(self, splits: list[int]) -> tuple[dict[int, int], list[int]]:
        """The left edge of each vertex, and the width of the models of each layer."""
        lefts: dict[int, int] = {}
        widths = []
        left = _MARGIN
        for members, split in zip(self._members, splits, strict=True):
            models = [v for v in members if v < len(self._labels)]
            width = max(_box_width(self._labels[v]) for v in models)
            widths.append(width)
            lefts.update(dict.fromkeys(members, left))
            # In a split layer, each model takes the next column in turn: heights keep the order,
            # and the models of one column are a whole row apart.
            for place, vertex in enumerate(models):
                lefts[vertex] += place % split * (width + _SPLIT_GAP)
            left += split * (width + _SPLIT_GAP) - _SPLIT_GAP + _COLUMN_GAP
        return lefts, widths

    def _path(
        self,
        route: list[int],
        nodes: Sequence[Node],
        lefts: dict[int, int],
        middles: list[float],
        splits: list[int],
    ) -> str:
        """Curves between layers, and straight lines through the layers that the edge passes."""
        parent, *bends, child = route
        x, y = nodes[parent].x + nodes[parent].width, round(middles[parent])
        path = f"M{x} {y}"
        for vertex in (*bends, child):
            to_x, to_y = lefts[vertex], round(middles[vertex])
            reach = max(24, (to_x - x) // 2)
            path += f"C{x + reach} {y} {to_x - reach} {to_y} {to_x} {to_y}"
            x, y = to_x, to_y
            if vertex != child:
                layer = self._layer[vertex]
                model = next(v for v in self._members[layer] if v < len(self._labels))
                step = nodes[model].width + _SPLIT_GAP
                x += splits[layer] * step - _SPLIT_GAP
                path += f"H{x}"
        return path


def _layers(parents: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each model: after all of its parents, or in a cycle after some of them."""
    children: list[list[int]] = [[] for _ in parents]
    for child, reads in enumerate(parents):
        for parent in reads:
            children[parent].append(child)
    layer = [0] * len(parents)
    waiting = [len(reads) for reads in parents]
    placed = [False] * len(parents)
    sources = [number for number, count in enumerate(waiting) if not count]
    # After the sources and everything that follows from them, the remaining models are in or after
    # a cycle: begin with the first of them.
    for first in (*sources, *range(len(parents))):
        ready = deque([] if placed[first] else [first])
        while ready:
            number = ready.popleft()
            placed[number] = True
            for child in (c for c in children[number] if not placed[c]):
                layer[child] = max(layer[child], layer[number] + 1)
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
    for number, reads in enumerate(parents):
        # A source is next to the first model that reads it.
        if not reads and children[number]:
            layer[number] = max(0, min(layer[child] for child in children[number]) - 1)
    return layer


def _spread(members: Sequence[int]) -> dict[int, float]:
    """Places from 0 to 1, so that layers of different sizes can be compared."""
    return {vertex: (place + 0.5) / len(members) for place, vertex in enumerate(members)}


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _settled(ideal: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places closest to the ideal ones that keep the order and the gaps.

    Closest by least squares: neighbors that would overlap form a block at the mean of their ideal
    places (isotonic regression by pooling adjacent violators).
    """
    offsets = list(accumulate(gaps, initial=0.0))
    blocks: list[tuple[float, int]] = []
    for place, offset in zip(ideal, offsets, strict=True):
        total, count = place - offset, 1
        while blocks and blocks[-1][0] * count >= total * blocks[-1][1]:
            total, count = total + blocks[-1][0], count + blocks[-1][1]
            blocks.pop()
        blocks.append((total, count))
    means = [total / count for total, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _box_width(label: str) -> int:
    """The width for the glyph and the label, in a monospaced font of 12 pixels."""
    cells = sum(2 if east_asian_width(c) in "WF" else 1 for c in label)
    return 40 + ceil(7.25 * cells)


def _shortened(label: str) -> str:
    """The label's beginning and end, as names in one schema often differ at the end."""
    if len(label) <= _LABEL:
        return label
    return f"{label[: _LABEL // 2 - 1]}…{label[-(_LABEL // 2) :]}"

"""The messages of assertions on rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from pytest_sqlmesh_tracker.wording.formats import quantity
from pytest_sqlmesh_tracker.wording.printable import printable

from .comparing import POSITION, Difference, Pair, Row
from .sources import Source

_CELL = 40
"""The most characters of a value that are shown."""
_COLUMNS = 10
"""The most columns that a table shows."""
_TEXT = re.compile(r"VARCHAR|ENUM|text|char", re.IGNORECASE)


@dataclass(frozen=True)
class Sides:
    """How a message refers to the two sides of a comparison.

    Attributes:
        only_left: heads the rows that only the left side has.
        only_right: heads the rows that only the right side has.
        counts: the numbers of rows, with `{0}` and `{1}`.
        changed: two values of a column, with `{0}` and `{1}`.
    """

    only_left: str
    only_right: str
    counts: str
    changed: str


EXPECTED = Sides("unexpected", "missing", "{0}, and {1} expected", "{0}, expected {1}")


def sides_of(left: str, right: str) -> Sides:
    """How a message refers to two sources."""
    return Sides(
        f"only in {left}",
        f"only in {right}",
        f"{{0}} in {left}, {{1}} in {right}",
        "{0} -> {1}",
    )


def described(
    headline: str,
    difference: Difference,
    sides: Sides,
    sources: Sequence[Source] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """A difference: the headline, aligned facts, and the first rows as tables.

    Args:
        facts: what is known besides, as labels and texts, which can have several lines.
    """
    excess = (sides.only_left, difference.only_left, difference.excess)
    missing = (sides.only_right, difference.only_right, difference.missing)
    sorts = [("different", difference.changed), excess[:2], missing[:2]]
    total = ", ".join(f"{count:,} {sort}" for sort, count in sorts if count)
    facts = [*facts, *_facts(difference, sides, sources)]
    parts = ["\n".join([f"{headline}: {total}", *aligned(facts)])]
    if difference.pairs:
        parts.append(_table(f"different ({difference.changed:,})", _pairs(difference, sides)))
    for sort, count, rows in (excess, missing):
        if rows:
            parts.append(_table(f"{sort} ({count:,})", _rows(difference, sides, rows)))
    return "\n\n".join(parts)


def aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Facts in lines, the texts below each other."""
    width = max(len(label) for label, _ in facts) + 3
    lines = []
    for label, text in facts:
        first, *others = text.split("\n")
        lines.append(f"  {label:<{width}}{printable(first)}")
        lines += [f"  {'':<{width}}{printable(line)}" for line in others]
    return lines


def _facts(
    difference: Difference, sides: Sides, sources: Sequence[Source]
) -> list[tuple[str, str]]:
    names = [each.name for each in difference.columns if each.name != POSITION]
    compared = _listed(names)
    if difference.key and [*difference.key] not in ([POSITION], names):
        compared += f"; by {_listed(difference.key)}"
    facts = [("compared", compared)]
    if difference.differing:
        facts.append(("differ in", _listed(difference.differing)))
    left, right = difference.counts
    facts.append(("rows", sides.counts.format(f"{left:,}", f"{right:,}")))
    if shown_of(difference) < difference.changed + difference.only_left + difference.only_right:
        facts.append(("shown", f"the first {shown_of(difference)}"))
    queries = [each for each in sources if each.text]
    return facts + [(each.name.removeprefix("the "), each.text or "") for each in queries]


def shown_of(difference: Difference) -> int:
    """How many rows and pairs of rows are shown."""
    excess = sum(each.left - each.right for each in difference.excess)
    missing = sum(each.right - each.left for each in difference.missing)
    return len(difference.pairs) + excess + missing


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_COLUMNS])
    more = len(names) - _COLUMNS
    return f"{shown} and {quantity(more, 'other column')}" if more > 0 else shown


def _pairs(difference: Difference, sides: Sides) -> list[list[str]]:
    """The key, and the columns that differ."""
    places = [n for n, each in enumerate(difference.columns) if each.name in difference.key]
    others = [n for n, each in enumerate(difference.columns) if each.name in difference.differing]
    places = [*places, *others[: max(_COLUMNS - len(places), 1)]]
    rows = [[_header(difference.columns[n].name) for n in places]]
    for pair in difference.pairs:
        rows.append([_changed(difference, pair, n, sides) for n in places])
    return rows


def _changed(difference: Difference, pair: Pair, place: int, sides: Sides) -> str:
    kind = difference.columns[place].type
    left, right = _value(pair.left[place], kind), _value(pair.right[place], kind)
    if not pair.differs[place]:
        return _short(left)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    # Long values are shown from a little before the place where they begin to differ.
    start = max(len(list(alike)) - 10, 0) if max(len(left), len(right)) > _CELL else 0
    return sides.changed.format(_short(left, start), _short(right, start))


def _rows(difference: Difference, sides: Sides, rows: Sequence[Row]) -> list[list[str]]:
    """The columns of the key, then others; how many times a row is there, unless once."""
    first = [n for n, each in enumerate(difference.columns) if each.name in difference.key]
    rest = [n for n in range(len(difference.columns)) if n not in first]
    # Columns that tell the rows apart come first.
    rows_of_both = [*difference.missing, *difference.excess]
    alike = [n for n in rest if len({row.values[n] for row in rows_of_both}) == 1]
    if len(difference.columns) > _COLUMNS:
        rest = [*(n for n in rest if n not in alike), *alike]
    places = [*first, *rest][:_COLUMNS]
    repeated = any(row.left + row.right > 1 for row in rows)
    cells = [[_header(difference.columns[n].name) for n in places]]
    for row in rows:
        cells.append([_short(_value(row.values[n], difference.columns[n].type)) for n in places])
    if repeated:
        cells[0].append("times")
        for line, row in zip(cells[1:], rows, strict=True):
            line.append(sides.changed.format(row.left, row.right))
    return cells


def _header(name: str) -> str:
    return "row" if name == POSITION else printable(name)


def _value(text: str | None, kind: str) -> str:
    """A value as SQL shows it: text is in quotes."""
    if text is None:
        return "NULL"
    if _TEXT.match(kind):
        return "'" + text.replace("'", "''").replace("\n", "\\n").replace("\t", "\\t") + "'"
    return text


def _short(text: str, start: int = 0) -> str:
    """The text from this position on, as far as a cell has room for it."""
    shown = printable(("…" if start else "") + text[start:])
    return shown if len(shown) <= _CELL else f"{shown[: _CELL - 1]}…"


def _table(heading: str, cells: Sequence[Sequence[str]]) -> str:
    """A heading, and cells in aligned columns below it."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([f"  {heading}", *(f"    {line}" for line in lines)])

"""Markdown pages that are safe whatever they quote, and no larger than allowed.

Text from a project is plain words or in code spans, where it is neither Markdown nor HTML, and
where GitHub and GitLab do not look for mentions, links or references.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pytest_sqlmesh_tracker.wording.formats import quantity
from pytest_sqlmesh_tracker.wording.printable import printable

# Other characters, and these forms, may mean something on one of the platforms: emphasis, images,
# emoji, links, references to issues.
_NOT_PLAIN = re.compile(
    r"""[^\w.,;:()'"/+=?!…→-]|(?<![^\W_])_|_(?![^\W_])|!(?=\w)|//|:[a-z0-9_+-]+:|(?i:www\.|gh-)"""
)


def text(words: str) -> str:
    """Words in one line. Those that could be taken for Markdown are in code spans."""
    return " ".join(
        word if not _NOT_PLAIN.search(word) else _quoted(word) for word in words.split()
    )


def _quoted(word: str) -> str:
    """The word in a code span, which excludes the punctuation of the sentence."""
    inside = word.lstrip("(\"'").rstrip(")\"',.;:")
    before, _, after = word.partition(inside)
    return f"{before}{code(inside)}{after}"


def code(words: str) -> str:
    """Words as a code span in one line."""
    words = printable(words)
    if not words:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    padding = " " if words[0] in "` " or words[-1] in "` " else ""
    return f"{fence}{padding}{words}{padding}{fence}"


def row(cells: Sequence[str]) -> str:
    """A row of a table. Pipes can occur only in code spans."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


@dataclass
class Part:
    """A head and rows. The last rows can be left out if they do not fit."""

    head: str
    rows: Sequence[str] = ()
    noun: str = ""
    """The noun for what a row is about."""
    fold: str | None = None
    """The title of the fold around the part; successive parts with the same title share one."""
    late: bool = False
    """Whether other parts get space first."""
    after: Part | None = None
    """The part without which this one makes no sense."""
    is_invocation: bool = False
    """Whether the head is that of an invocation."""


def page(parts: Sequence[Part], limit: int | None = None) -> str:
    """The parts in sequence, in no more bytes of UTF-8 than the limit.

    Rows that do not fit are counted where they are missing, and in total at the end. The page is
    empty if not even its first part fits.
    """
    whole = "".join(_written(parts, [len(part.rows) for part in parts]))
    if limit is None or _size(whole) <= limit:
        return whole
    kept = _kept(parts, limit - _ROOM_FOR_NOTE)
    return "" if kept[0] is None else "".join(_written(parts, kept)) + _note(parts, kept, limit)


_ROOM_FOR_NOTE = 250
_END_OF_FOLD = "</details>\n\n"


def _kept(parts: Sequence[Part], room: int) -> list[int | None]:
    """How many rows of each part fit; None if the part does not fit."""
    kept: dict[int, int | None] = {}
    notes = {id(part.after): _left_out(part, len(part.rows)) for part in parts if part.after}
    for part in sorted(parts, key=lambda part: part.late):
        kept[id(part)] = None
        if part.after and kept[id(part.after)] is None:
            continue
        around = part.head + _left_out(part, len(part.rows)) + notes.get(id(part), "")
        around += _fold(part.fold) + _END_OF_FOLD if part.fold else ""
        sizes = [0, *accumulate(map(_size, part.rows))]
        number = bisect_right(sizes, room - _size(around)) - 1
        if number > 0 or (number == 0 and not part.rows):
            kept[id(part)] = number
            room -= _size(around) + sizes[number]
    return [kept[id(part)] for part in parts]


def _written(parts: Sequence[Part], kept: Sequence[int | None]) -> Iterator[str]:
    open_fold: str | None = None
    written: set[int] = set()
    for part, number in zip(parts, kept, strict=True):
        if number is None and id(part.after) not in written:
            continue
        fold = None if number is None else part.fold
        if open_fold and open_fold != fold:
            yield _END_OF_FOLD
        if fold and open_fold != fold:
            yield _fold(fold)
        open_fold = fold
        if number is not None:
            written.add(id(part))
            yield part.head
            yield from part.rows[:number]
            yield "\n" if part.rows else ""
        yield _left_out(part, len(part.rows) - (number or 0))
    if open_fold:
        yield _END_OF_FOLD


def _fold(title: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n"


def _left_out(part: Part, number: int) -> str:
    return f"_Left out here: {quantity(number, part.noun)}_\n\n" if number else ""


def _note(parts: Sequence[Part], kept: Sequence[int | None], limit: int) -> str:
    rows: Counter[str] = Counter()
    invocations = 0
    for part, number in zip(parts, kept, strict=True):
        rows[part.noun] += len(part.rows) - (number or 0)
        invocations += part.is_invocation and number is None
    left_out = [quantity(number, noun) for noun, number in rows.items() if number]
    whole = f"all of {quantity(invocations, 'invocation')}" if invocations else ""
    if whole:
        left_out.append(f"including {whole}" if left_out else whole)
    return (
        f"**Left out of this page, which is limited to {limit:,} bytes:** {', '.join(left_out)}\n"
    )


def _size(markdown: str) -> int:
    return len(markdown.encode())

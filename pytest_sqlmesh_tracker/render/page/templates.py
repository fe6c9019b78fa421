"""What the templates of all pages share: safe texts, filters, and sources of styles and scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pytest_sqlmesh_tracker.outcomes.invocation import Completion
from pytest_sqlmesh_tracker.wording.formats import duration, minute, moment, quantity, span, spans
from pytest_sqlmesh_tracker.wording.invocations import ended, notes, statuses
from pytest_sqlmesh_tracker.wording.printable import UNSEEN
from pytest_sqlmesh_tracker.wording.rows import reason_of
from pytest_sqlmesh_tracker.wording.sentences import is_waiting

from .schemas import split

_FILES = Path(__file__).parent
_LONG, _BLOCK = 20_000, 4_000

LOOKS: Mapping[Completion, str] = {
    "success": "executed",
    "nothing_to_do": "skipped",
    "failure": "failed",
    "raised": "failed",
    "interrupted": "interrupted",
}
"""The glyph and color of how an invocation ended."""


def policy(style: Markup, script: Markup) -> str:
    """The content security policy of a page that consists of nothing else."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(style)}; script-src {_digest(script)}"
    )


def short(text: str, limit: int = 255) -> str:
    """The text, cut to a number of characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _breakable(name: str) -> Markup:
    """The name, with line breaks allowed only after its parts."""
    return Markup("<wbr>").join(re.findall(r"[^_./:]+[_./:]*|[_./:]+", visible(name)))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _whole(text: str) -> str:
    """The whole text, however long, in blocks that a browser draws only if they are visible."""
    if len(text) <= _LONG or isinstance(text, Markup):
        return text
    blocks = re.findall(rf"(?s).{{1,{_BLOCK}}}\n|.{{1,{_BLOCK}}}", visible(text))
    return Markup("").join(Markup('<span class="block">{}</span>').format(b) for b in blocks)


def visible(text: str) -> str:
    """The text with escapes for characters that are invisible or change how the rest reads.

    These are control characters, marks of text direction and surrogates.
    """
    line_ends = text.replace("\r\n", "\n")
    return UNSEEN.sub(lambda c: c[0].encode("unicode_escape").decode(), line_ends)


def _finalized(value: object) -> object:
    """The text of a value in a template. `Markup` is always made by this module."""
    return value if isinstance(value, Markup) else visible(str(value))


def source(name: str, folder: Path = _FILES) -> Markup:
    """The content of a file of this package, or of another folder."""
    return Markup((folder / name).read_text(encoding="utf-8"))


def _digest(source: str) -> str:
    """The name of an inline script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


@cache
def environment(folder: Path = _FILES) -> Environment:
    """Jinja's environment of the templates of this package, and of another folder."""
    made = Environment(
        loader=FileSystemLoader([folder, _FILES]),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        quantity=quantity,
        duration=duration,
        ended=ended,
        breakable=_breakable,
        minute=minute,
        moment=moment,
        notes=notes,
        number=_number,
        reason_of=reason_of,
        is_waiting=is_waiting,
        json=partial(json.dumps, ensure_ascii=False),
        short=short,
        without_schema=lambda name: split(name)[1],
        spans=spans,
        statuses=statuses,
        whole=_whole,
    )
    made.globals.update(span=span)
    return made

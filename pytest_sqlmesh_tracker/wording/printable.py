"""Text that can be printed: without escape codes, and without what deceives its reader."""

from __future__ import annotations

import re

from pytest_sqlmesh_tracker.wording.formats import (
    one_line,
)

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, what has no width or turns the direction of text around, separators of lines,
halves of characters, which no encoding can write, and what is no character, which XML rejects."""


def printable(text: str) -> str:
    """The text without what steers a terminal or deceives its reader: `�` in its place."""
    return UNSEEN.sub("�", text)


def name_of(text: str) -> str:
    """A model's, test's or environment's name: printable, in one line, and not without end."""
    return printable(one_line(text, 300))


_ESCAPE_CODES = re.compile(
    # ESC [ … m and the like; titles and links, up to their end; all others, of two characters.
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,2000}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]{0,8}[0-~]?"
)


def without_escape_codes(text: str) -> str:
    """The text without what colors it, or steers the terminal that shows it."""
    return _ESCAPE_CODES.sub("", text) if "\x1b" in text or not text.isascii() else text

"""Text that is safe to print: without escape codes or characters that mislead the reader."""

from __future__ import annotations

import re

from pytest_sqlmesh_tracker.wording.formats import (
    one_line,
)

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
"""Control and zero-width characters, changes of text direction, line separators, surrogates, which
no encoding can write, and noncharacters, which XML rejects."""


def printable(text: str) -> str:
    """The text, with `�` in place of characters that control a terminal or mislead the reader."""
    return UNSEEN.sub("�", text)


def name_of(text: str) -> str:
    """The name of a model, test or environment: printable, in one line, and of limited length."""
    return printable(one_line(text, 300))


_ESCAPE_CODES = re.compile(
    # ESC [ … m and the like; titles and links, up to their end; all others have two characters.
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,2000}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]{0,8}[0-~]?"
)


def without_escape_codes(text: str) -> str:
    """The text without sequences that color it or control the terminal that shows it."""
    return _ESCAPE_CODES.sub("", text) if "\x1b" in text or not text.isascii() else text

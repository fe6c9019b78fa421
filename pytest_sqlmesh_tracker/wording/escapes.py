"""Escape codes of terminals, which parsers and databases put into the messages of their errors."""

from __future__ import annotations

import re

_ESCAPE_CODES = re.compile(
    # ESC [ … m and the like; titles and links, up to their end; all others, of two characters.
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,2000}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]{0,8}[0-~]?"
)


def without_escape_codes(text: str) -> str:
    """The text without what colors it, or steers the terminal that shows it."""
    return _ESCAPE_CODES.sub("", text) if "\x1b" in text or not text.isascii() else text

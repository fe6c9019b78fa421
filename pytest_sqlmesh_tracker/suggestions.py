"""What a word that is not valid may have been meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def close_matches(word: str, valid: Iterable[str]) -> list[str]:
    """Up to three valid words that resemble the word, the closest first."""
    by_folded = {candidate.casefold(): candidate for candidate in valid}
    close = get_close_matches(word.casefold(), by_folded, n=3, cutoff=0.6)
    return [by_folded[match] for match in close]


def did_you_mean(word: str, valid: Iterable[str], otherwise: str) -> str:
    """`did you mean sales.orders?`; if no valid word resembles the word, the other text."""
    close = close_matches(word, valid)
    return f"did you mean {either(close)}?" if close else otherwise


def either(words: Sequence[str]) -> str:
    """`a, b or c`, of at least one word."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def unknown_argument(source: str, keyword: str, valid: Iterable[str]) -> str:
    """The message for a keyword that a pytest marker or fixture does not take."""
    names = list(valid)
    hint = did_you_mean(keyword, names, f"its arguments are {', '.join(names)}")
    return f"{source} has no argument {keyword!r}: {hint}"

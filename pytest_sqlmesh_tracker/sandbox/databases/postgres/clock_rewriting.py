"""Statements with the clock's functions in place of PostgreSQL's own, token by token.

CURRENT_DATE and others are keywords, which no function can shadow. All else of a statement stays as
it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import NamedTuple

from .clock_functions import SCHEMA

_KEYWORDS = {
    "CURRENT_DATE": "date",
    "CURRENT_TIME": "timetz",
    "CURRENT_TIMESTAMP": "timestamptz",
    "LOCALTIME": "time",
    "LOCALTIMESTAMP": "timestamp",
}
"""Keywords that are functions without parentheses, and their types."""
_FUNCTIONS = {
    *("NOW", "TIMEOFDAY"),
    *("TRANSACTION_TIMESTAMP", "STATEMENT_TIMESTAMP", "CLOCK_TIMESTAMP"),
}
_MOVING_TEXTS = {"now", "today", "tomorrow", "yesterday"}
_TYPES = {"DATE", "TIME", "TIMETZ", "TIMESTAMP", "TIMESTAMPTZ", "ZONE"}
_BEFORE_TABLES = {
    *("AS", "COPY", "EXISTS", "INTO", "ONLY", "RECURSIVE", "REFERENCES", "TABLE", "UPDATE", "WITH")
}
"""Words before the name of a table, which columns in parentheses can follow."""
_READS = re.compile(
    rf"\b({'|'.join(_KEYWORDS)})\b|\b({'|'.join(_FUNCTIONS)}|AGE)\s*\(", re.IGNORECASE
)
_MOVING_TEXT = re.compile(rf"'({'|'.join(_MOVING_TEXTS)})'", re.IGNORECASE)
_SKIPPED = r"--[^\n]* | /\*(?:(?!/\*|\*/).|/\*(?:(?!/\*|\*/).)*\*/)*\*/"
_TEXT = r"(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*' | (?:[nNbBxX]|[uU]&)?'[^']*(?:''[^']*)*'"
_QUOTED = r"""(?:[uU]&)?"(?:[^"]|"")*" """
_WITHOUT_CODE = re.compile(f"{_SKIPPED} | {_TEXT} | {_QUOTED}", re.VERBOSE | re.DOTALL)
_TOKENS = re.compile(
    rf"""
    (?P<skipped> \s+ | {_SKIPPED} )
    | (?P<text> {_TEXT} )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ ) (?P<body> .*? ) (?P=dollar)
    | (?P<word> (?![uU]&") [^\W\d][\w$]* )
    | (?P<other> {_QUOTED} | \d[\w.]* | :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_MAKES_ROUTINE = re.compile(r"\$|\b(FUNCTION|PROCEDURE|DO)\b", re.IGNORECASE)
_ROUTINES = {"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"}
_LANGUAGES = {"SQL", "PLPGSQL"}


class _Kind(Enum):
    WORD = auto()
    TEXT = auto()
    BODY = auto()
    OTHER = auto()


class _Token(NamedTuple):
    """A token: words are in capitals, and a body is what is between dollars."""

    kind: _Kind
    text: str
    start: int
    end: int

    def is_word(self, words: Iterable[str]) -> bool:
        return self.kind is _Kind.WORD and self.text in words

    def is_other(self, text: str) -> bool:
        return self.kind is _Kind.OTHER and self.text == text


_NOTHING = _Token(_Kind.OTHER, "", 0, 0)


@dataclass(frozen=True)
class _Statement:
    """The tokens of a statement, without comments."""

    tokens: tuple[_Token, ...]

    def __getitem__(self, number: int) -> _Token:
        """The token with this number; an empty one before the first and after the last one."""
        return self.tokens[number] if 0 <= number < len(self.tokens) else _NOTHING

    @property
    def makes_routine(self) -> bool:
        """Whether it contains the body of a function in a language that can be rewritten."""
        if not self[0].is_word({"DO"}) and not (
            self[0].is_word({"CREATE"}) and any(t.is_word(_ROUTINES) for t in self.tokens[1:4])
        ):
            return False
        languages = [
            after.text.strip("'").upper()
            for token, after in pairwise(self.tokens)
            if token.is_word({"LANGUAGE"})
        ]
        return set(languages) <= _LANGUAGES

    def closing(self, opening: int) -> tuple[int, bool]:
        """The number of the parenthesis that closes another one, and whether there is exactly one
        argument between them."""
        depth = commas = 0
        for number in range(opening, len(self.tokens)):
            token = self[number]
            depth += token.is_other("(") - token.is_other(")")
            commas += depth == 1 and token.is_other(",")
            if depth == 0:
                return number, commas == 0 and number > opening + 1
        return opening, False


@dataclass(frozen=True)
class Rewritten:
    """Some SQL with the functions of the sandbox's clock.

    Attributes:
        not_moved: the parts that read the real time nevertheless.
    """

    sql: str
    not_moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


def rewritten(sql: str) -> Rewritten:
    """Let some SQL see the sandbox's time instead of the real one."""
    return _rewritten(sql, in_routine=False)


def _rewritten(sql: str, *, in_routine: bool) -> Rewritten:
    if not _is_concerned(sql, in_routine=in_routine):
        return Rewritten(sql)
    parts: list[str] = []
    not_moved: list[str] = []
    done = 0
    for statement in _statements(sql):
        for number, token in enumerate(statement.tokens):
            edit = _edited(statement, number)
            if token.kind is _Kind.BODY and statement.makes_routine:
                inner = _rewritten(token.text, in_routine=True)
                edit = _Edit(token.start, token.end, inner.sql)
                not_moved += inner.not_moved
            if edit is not None:
                parts += [sql[done : edit.start], edit.text]
                done = edit.end
            elif _stays(statement, number, in_routine=in_routine):
                not_moved.append(token.text)
    return Rewritten("".join([*parts, sql[done:]]), tuple(not_moved))


def _is_concerned(sql: str, *, in_routine: bool) -> bool:
    """Whether some SQL may read the time: most does not, and can be long, with data in texts."""
    if _MOVING_TEXT.search(sql):
        return True
    if not _READS.search(sql):
        return False
    if in_routine or _MAKES_ROUTINE.search(sql):
        return True
    return bool(_READS.search(_WITHOUT_CODE.sub("''", sql)))


def _edited(statement: _Statement, number: int) -> _Edit | None:
    token, before, after = (statement[number + step] for step in (0, -1, 1))
    if token.is_word(_KEYWORDS):
        is_name = before.is_other(".") or before.is_word({"AS"})
        return None if is_name else _keyword(statement, number)
    if not after.is_other("(") or before.is_word(_ROUTINES):
        return None
    first = token
    if before.is_other("."):
        first = statement[number - 2]
        if not first.is_word({"PG_CATALOG"}):
            return None
    if token.is_word(_FUNCTIONS) and statement[number + 2].is_other(")"):
        return _Edit(first.start, token.end, f"{SCHEMA}.{token.text.lower()}")
    if token.is_word({"AGE"}) and _is_age_until_today(statement, number):
        return _Edit(after.end, after.end, f'{SCHEMA}."current_date"(), ')
    return None


def _keyword(statement: _Statement, number: int) -> _Edit:
    token = statement[number]
    call = f'{SCHEMA}."{token.text.lower()}"()'
    opening, precision, closing = (statement[number + step] for step in (1, 2, 3))
    if opening.is_other("(") and precision.text.isdigit() and closing.is_other(")"):
        kind = _KEYWORDS[token.text]
        return _Edit(token.start, closing.end, f"CAST({call} AS {kind}({precision.text}))")
    return _Edit(token.start, token.end, call)


def _is_age_until_today(statement: _Statement, number: int) -> bool:
    """Whether `age` is a call with one argument, rather than a table with one column."""
    closing, has_one = statement.closing(number + 1)
    makes_index = any(token.is_word({"INDEX"}) for token in statement.tokens[:4])
    is_query = statement[closing + 1].is_word({"AS"}) and statement[closing + 2].is_other("(")
    is_table = statement[number - 1].is_word(_BEFORE_TABLES | ({"ON"} if makes_index else set()))
    return has_one and not is_query and not is_table


def _stays(statement: _Statement, number: int, *, in_routine: bool) -> bool:
    """Whether a text reads the real time."""
    token = statement[number]
    if token.kind is not _Kind.TEXT:
        return False
    content = token.text[1:-1]
    if (statement.makes_routine or in_routine) and rewritten(content).sql != content:
        return True
    after = statement[number + 1]
    is_cast = after.is_other("::") or (
        statement[number - 2].is_word({"CAST"}) and after.is_word({"AS"})
    )
    return content.lower() in _MOVING_TEXTS and (
        (is_cast and statement[number + 2].is_word(_TYPES)) or statement[number - 1].is_word(_TYPES)
    )


def _statements(sql: str) -> Iterator[_Statement]:
    tokens: list[_Token] = []
    for token in _tokens(sql):
        if token.is_other(";"):
            yield _Statement(tuple(tokens))
            tokens = []
        else:
            tokens.append(token)
    yield _Statement(tuple(tokens))


def _tokens(sql: str) -> Iterator[_Token]:
    for match in _TOKENS.finditer(sql):
        if match["word"]:
            yield _Token(_Kind.WORD, match["word"].upper(), *match.span())
        elif match["text"]:
            yield _Token(_Kind.TEXT, match["text"], *match.span())
        elif match["dollar"]:
            yield _Token(_Kind.BODY, match["body"], *match.span("body"))
        elif match["other"]:
            yield _Token(_Kind.OTHER, match["other"], *match.span())

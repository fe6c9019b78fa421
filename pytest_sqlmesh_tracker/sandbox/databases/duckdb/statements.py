"""Which DuckDB statements reach outside a sandbox."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.databases.tokens import statements, words_of

_LEADS_OUT = re.compile(r"\b(ATTACH|COPY|EXPORT)\b", re.IGNORECASE)
"""Keywords of statements that open or write files. Few have one; those are examined closely."""


def check_stays_in(folder: Path, sql: str) -> None:
    """Reject statements that would write to a database or a file outside the folder.

    Raises:
        SQLMeshError: a statement would.
    """
    if _LEADS_OUT.search(sql):
        for statement in statements(sql, "duckdb"):
            _check(folder, statement)


def _check(folder: Path, statement: list[Token]) -> None:
    words = words_of(statement)
    if words[0] == "ATTACH" and not _attaches_harmlessly(folder, statement):
        # The message leaves out the statement itself, which can contain passwords.
        raise SQLMeshError(
            "a sandbox attaches only local DuckDB files, and those from outside of it only "
            f"READ_ONLY; a statement attaches {_attached(statement)}"
        )
    if words[0] == "EXPORT" or (words[0] == "COPY" and not _copies_harmlessly(folder, statement)):
        raise SQLMeshError(
            f"a sandbox rejects {words[0]} statements that write files outside of its folder"
        )


def _attaches_harmlessly(folder: Path, statement: list[Token]) -> bool:
    path = _text(statement[1:])
    if path in ("", ":memory:"):
        return True
    words = words_of(statement)
    options = words[words.index("(") :] if "(" in words else []
    kinds = [kind for word, kind in pairwise(options) if word == "TYPE"]
    if path is None or is_remote(path) or kinds not in ([], ["DUCKDB"]):
        return False
    after = options[options.index("READ_ONLY") + 1] if "READ_ONLY" in options else None
    return after in (",", ")", "TRUE") or _is_below(folder, path)


def _copies_harmlessly(folder: Path, statement: list[Token]) -> bool:
    words = words_of(statement)
    if "TO" not in words or words[1:3] == ["FROM", "DATABASE"]:
        return True
    last = len(words) - words[::-1].index("TO")
    return _is_below(folder, _text(statement[last : last + 1]))


def _is_below(folder: Path, path: str | None) -> bool:
    inside = folder.resolve()
    return path is not None and not is_remote(path) and inside in Path(path).resolve().parents


def _text(tokens: list[Token]) -> str | None:
    """The first token that is a string in quotes."""
    return next((token.text for token in tokens if token.token_type == TokenType.STRING), None)


def _attached(statement: list[Token]) -> str:
    """What a statement attaches, without possible secrets."""
    words = words_of(statement)
    return statement[words.index("AS") + 1].text if "AS" in words[:-1] else "a database"


def is_remote(path: str) -> bool:
    """Whether a DuckDB path leads to anything but a local file: `md:…`, `s3://…`, `ducklake:…`."""
    return bool(re.match(r"[a-z][a-z0-9+]+:", path, re.I))

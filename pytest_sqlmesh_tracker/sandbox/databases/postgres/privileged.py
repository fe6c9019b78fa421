"""Statements that a project's user has no right to execute on the session's server.

Roles belong to a whole server, so the user's own do not exist there. They are created where a
statement names them, without rights of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.databases.tokens import statements, words_of

_NOTHING = "DO 'BEGIN END'"
"""A statement without an effect."""
_CONCERNED = re.compile(r"\bGRANT\b|\bCREATE\s+(ROLE|USER|GROUP|EXTENSION)\b", re.IGNORECASE)
"""What must occur in SQL before it is read: most statements are not concerned."""
_ROLES = ("ROLE", "USER", "GROUP")
_ATTRIBUTES = {
    *("WITH", "LOGIN", "NOLOGIN", "INHERIT", "NOINHERIT", "NOSUPERUSER", "NOCREATEDB"),
    *("NOCREATEROLE", "NOREPLICATION", "NOBYPASSRLS", "ENCRYPTED", "PASSWORD", "NULL", ""),
}
"""What can follow the name of a role that has no rights; a password is in quotes."""
_EXTENSIONS = {"bloom", "earthdistance", "moddatetime", "postgis", "vector"}
"""Extensions that PostgreSQL does not trust, although none reads files or connects to servers."""
_PRESENT = {"CURRENT_ROLE", "CURRENT_USER", "SESSION_USER"}
_EVERYBODY = "public"
"""Not a role, even in quotes."""


@dataclass(frozen=True)
class Privileged:
    """What some SQL needs of the server.

    Attributes:
        sql: the rest of the SQL.
        roles: the roles that it creates or grants rights to.
        extensions: the extensions that it creates.
    """

    sql: str
    roles: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


def privileged(sql: str) -> Privileged:
    """Separate what needs the server's rights from the rest."""
    if not _CONCERNED.search(sql):
        return Privileged(sql)
    try:
        read = list(statements(sql, "postgres"))
    except SQLMeshError:
        # The database reports what is wrong with it.
        return Privileged(sql)
    roles, extensions, rest, done = [], [], "", 0
    for tokens in read:
        role, extension = _created_role(tokens), _created_extension(tokens)
        roles += list(_grantees(tokens)) if role is None else [role]
        extensions += [] if extension is None else [extension]
        if role or extension:
            rest += sql[done : tokens[0].start] + _NOTHING
            done = tokens[-1].end + 1
    return Privileged(rest + sql[done:], tuple(roles), tuple(extensions))


def _created_role(tokens: list[Token]) -> str | None:
    words = words_of(tokens)
    if words[0] != "CREATE" or len(words) < 3 or words[1] not in _ROLES:
        return None
    return _name(tokens[2]) if set(words[3:]) <= _ATTRIBUTES else None


def _created_extension(tokens: list[Token]) -> str | None:
    words = words_of(tokens)
    if words[:2] != ["CREATE", "EXTENSION"]:
        return None
    names = tokens[5:] if words[2:5] == ["IF", "NOT", "EXISTS"] else tokens[2:]
    if len(names) != 1:
        return None
    name = _name(names[0])
    return name if name in _EXTENSIONS else None


def _grantees(tokens: list[Token]) -> Iterator[str]:
    """The roles that a statement grants rights on objects to."""
    words = words_of(tokens)
    grants = words[0] == "GRANT" or (words[:2] == ["ALTER", "DEFAULT"] and "GRANT" in words)
    if not grants or "ON" not in words or "TO" not in words:
        return
    last = len(words) - words[::-1].index("TO")
    for number in range(last, len(words)):
        before, word = words[number - 1], words[number]
        begins = before == "GROUP" or tokens[number - 1].token_type == TokenType.COMMA
        name = _name(tokens[number])
        if (begins or number == last) and word not in {"GROUP", *_PRESENT} and name != _EVERYBODY:
            yield name


def _name(token: Token) -> str:
    return token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower()

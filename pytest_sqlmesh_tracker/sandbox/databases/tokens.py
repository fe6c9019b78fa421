"""The statements of some SQL, token by token."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.utils.errors import SQLMeshError


def statements(sql: str, dialect: str) -> Iterator[list[Token]]:
    """The tokens of each statement, without comments, which SQLMesh puts in front of some.

    Raises:
        SQLMeshError: the SQL can't be read in this dialect.
    """
    statement: list[Token] = []
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(sql)
    except TokenError as error:
        raise SQLMeshError(f"a sandbox can't read a statement: {error}") from error
    for token in tokens:
        if token.token_type != TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def words_of(tokens: list[Token]) -> list[str]:
    """The tokens in capitals; an empty string for each token in quotes."""
    in_quotes = (TokenType.STRING, TokenType.IDENTIFIER)
    # The text of a keyword such as ORDER BY contains the white space between its words.
    return [
        "" if token.token_type in in_quotes else " ".join(token.text.upper().split())
        for token in tokens
    ]


def words_outside_parentheses(tokens: list[Token]) -> list[str]:
    """The words of a statement itself, not those of its subqueries and arguments."""
    outside, depth = [], 0
    for token, word in zip(tokens, words_of(tokens), strict=True):
        depth -= token.token_type == TokenType.R_PAREN
        if depth == 0:
            outside.append(word)
        depth += token.token_type == TokenType.L_PAREN
    return outside

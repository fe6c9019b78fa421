"""Connections of psycopg2 on which statements see the time of a sandbox."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import psycopg2.extensions
from psycopg2.sql import Composable

from .clock_functions import DatabaseClock
from .clock_rewriting import rewritten


class ClockConnection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection whose cursors, of whatever class, show the sandbox's time.

    Attributes:
        clock: the clock of the database; set once the connection is open.
    """

    clock: DatabaseClock | None = None

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """A cursor, as psycopg2's connections make it."""
        names = dict(zip(("name", "cursor_factory", "scrollable", "withhold"), args, strict=False))
        kwargs = {**names, **kwargs}
        factory = kwargs.pop("cursor_factory", None) or self.cursor_factory
        factory = factory or psycopg2.extensions.cursor
        return super().cursor(cursor_factory=_with_clock(factory), **kwargs)


class _ClockCursor(psycopg2.extensions.cursor):  # type: ignore[misc]
    """A cursor whose statements see the sandbox's time."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002
        super().execute(self._prepared(query), vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        super().executemany(self._prepared(query), vars_list)

    def copy_expert(self, sql: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        super().copy_expert(self._prepared(sql), file, *args, **kwargs)

    def _prepared(self, query: Any) -> Any:
        """The statement to execute, after the database shows the present time."""
        connection: Any = self.connection
        if connection.clock is not None:
            connection.clock.renew()
        if isinstance(query, Composable):
            query = query.as_string(self)
        if isinstance(query, bytes):
            query = query.decode(psycopg2.extensions.encodings[connection.encoding])
        result = rewritten(query)
        for part in result.not_moved:
            warnings.warn(
                f"SQL reads the real time instead of the sandbox's, because a sandbox does not "
                f"rewrite text: {part}",
                stacklevel=3,
            )
        return result.sql


@cache
def _with_clock(factory: type) -> type:
    """A class of cursors that shows the sandbox's time."""
    if issubclass(factory, _ClockCursor):
        return factory
    return type(factory.__name__, (_ClockCursor, factory), {})

"""Copies of a template that are made before they are requested."""

from __future__ import annotations

import select
from contextlib import suppress
from itertools import count
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .client import MAINTENANCE, connect, psycopg2
from .databases import ClusterDatabases, copying


class Copies:
    """Copies of one template: while one is used, the server makes the next.

    The server needs no thread of this process for that, only a connection of its own.
    """

    def __init__(self, databases: ClusterDatabases, template: str) -> None:
        """Begin with the first copy.

        Args:
            template: a database to which nobody is connected.

        Raises:
            SandboxError: the database does not exist.
        """
        self._databases = databases
        self.template = template
        self._numbers = count(1)
        self._connection = connect(databases.cluster.host, MAINTENANCE, asynchronous=True)
        try:
            self._wait()
            self._next = self._begin()
        except BaseException:
            self._connection.close()
            raise

    def take(self, name: str) -> None:
        """Wait for the copy, give it this name, and begin with the next.

        Raises:
            SandboxError: the template can't be copied; the next call tries again.
        """
        try:
            with copying(self.template):
                self._wait()
        except SandboxError:
            self._next = self._begin()
            raise
        self._databases.rename(self._next, name)
        self._databases.copy_settings(self.template, name)
        self._next = self._begin()

    def close(self) -> None:
        """Drop the copy that nobody has taken, and close the connection."""
        # Of a copy that failed, nothing is left. `take` would have reported it.
        with suppress(psycopg2().Error):
            self._wait()
        self._connection.close()
        self._databases.drop(self._next)

    def _begin(self) -> str:
        name = f"{self.template} copy {next(self._numbers)}"
        self._cursor = self._connection.cursor()
        self._cursor.execute(self._databases.copying_statement(self.template, name))
        return name

    def _wait(self) -> None:
        """Wait until the connection has executed what it was sent."""
        extensions: Any = psycopg2().extensions
        while (state := self._connection.poll()) != extensions.POLL_OK:
            writes = state == extensions.POLL_WRITE
            poll = select.poll()
            poll.register(self._connection, select.POLLOUT if writes else select.POLLIN)
            poll.poll()

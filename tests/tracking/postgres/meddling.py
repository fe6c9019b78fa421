"""What others do on a server while SQLMesh is working: they end sessions, and close databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_sqlmesh_tracker.sandbox.clusters.client import MAINTENANCE
from tests.engines.databases import NAME, ServerDatabase
from tests.engines.servers import Server
from tests.projects import Project

LOST = (
    "(AdminShutdown: terminating connection due to administrator command"
    "|OperationalError: server closed the connection unexpectedly)"
)
"""The error of a session that was ended. The client library drops the server's last message if it
notices in time that the server has closed the connection."""
_PAUSE, _TRIES = 0.005, 6000
"""Half a minute of pauses. They are counted, since tests replace the clock."""


class Meddler:
    """A superuser of the server that has a project's state, and mostly its tables as well."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @classmethod
    def on(cls, project: Project) -> Meddler:
        database = project.databases.state
        assert isinstance(database, ServerDatabase)
        return cls(database.server)

    def execute(self, sql: str) -> None:
        """Execute statements in the database as its owner, in a session of its own."""
        self._server.query(NAME, sql)

    @contextmanager
    def meanwhile(self, statement: str, act: Callable[[int], object]) -> Iterator[None]:
        """Act once, as soon as a session executes a statement.

        Args:
            statement: a part of the statement, in lower case.
            act: is called with the process of the session.
        """
        ended, acted = threading.Event(), threading.Event()
        errors: list[BaseException] = []

        def watch() -> None:
            connection = self._server.cluster.connect(MAINTENANCE)
            try:
                for _ in range(_TRIES):
                    if ended.wait(_PAUSE):
                        return
                    pids = _executing(connection, statement)
                    if pids:
                        act(pids[0])
                        acted.set()
                        return
            except BaseException as error:
                errors.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        assert not errors, errors
        assert acted.is_set(), f"no session has executed {statement}"

    def kill(self, pid: int) -> None:
        """End a session in the middle of its statement."""
        assert self._server.administer("SELECT pg_terminate_backend(%s)", pid) == [(True,)]

    def kill_all(self) -> int:
        """End all sessions, and return how many there were."""
        return self._server.end_sessions(NAME)

    def close_database(self) -> None:
        """Let nobody connect, and end all sessions."""
        self._server.administer(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")
        self.kill_all()

    def open_database(self) -> None:
        self._server.administer(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS true")


def _executing(connection: Any, statement: str) -> list[int]:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND state = 'active' "
        "AND position(%s IN lower(query)) > 0 AND pid <> pg_backend_pid()",
        (NAME, statement),
    )
    return [pid for (pid,) in cursor.fetchall()]

"""The PostgreSQL servers of a session: one for each template that can be kept, one for all others.

A template is kept with the data folder of its server, which can't have other databases in it.
"""

from __future__ import annotations

from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer

CLUSTER = "cluster"
"""The name of a server's saved data folder, in the folder of its template."""
_MOST_RUNNING = 4
"""How many servers of single templates run at once, unless sandboxes need more. Each takes about
25 MB for its processes and 50 MB for its databases, mostly in memory."""


class PostgresServers:
    """The servers of a session, each started when a sandbox first connects to it."""

    def __init__(self, programs: str | None = None) -> None:
        """Start nothing yet.

        Args:
            programs: the folder of PostgreSQL's programs, if the user has set it.
        """
        self._programs = programs
        self.shared = PostgresServer(programs)
        """The server of templates that can't be kept."""
        self.own_ones: list[PostgresServer] = []
        """Those of single templates, in the order of the templates."""

    def own(self, folder: Path) -> PostgresServer:
        """A new server for one template.

        Args:
            folder: the template's folder, in which the server's data folder is saved.
        """
        server = PostgresServer(
            self._programs, saved=folder / CLUSTER, starting=self._stop_unused_ones
        )
        self.own_ones.append(server)
        return server

    def _stop_unused_ones(self) -> None:
        """Stop servers that no sandbox needs now, the oldest first, to start another one."""
        running = [server for server in self.own_ones if server.runs]
        excess = len(running) + 1 - _MOST_RUNNING
        for server in running:
            if excess > 0 and server.stop():
                excess -= 1

    def close(self) -> None:
        """End all servers."""
        for server in (self.shared, *self.own_ones):
            server.close()

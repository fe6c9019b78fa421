"""The PostgreSQL server of a session, and the databases that sandboxes have on it.

A database is a part of every name that SQLMesh stores, so each copy of a template must have the
name of the user's database. One of them has it at a time; the others are parked.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.sandbox.clusters.programs import find_programs
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

if TYPE_CHECKING:
    # Windows does not have what these are made of.
    from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster
    from pytest_sqlmesh_tracker.sandbox.clusters.copies import Copies
    from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
    from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of the user's warehouse, as far as a sandbox repeats it.

    Attributes:
        owner: the role that creates everything in it.
        roles: all roles that it needs.
    """

    name: str
    owner: str
    roles: frozenset[str]


class PostgresServer:
    """A server that starts when a sandbox first connects, and ends with the process at the latest.

    Threads can share it. After a fork, only the process that has started it can use it.
    """

    def __init__(
        self,
        programs: str | None = None,
        *,
        saved: Path | None = None,
        starting: Callable[[], None] = lambda: None,
    ) -> None:
        """Start nothing yet.

        Args:
            programs: the folder of the server's programs, if the user has set it.
            saved: where its data folder is saved while it is stopped; it does not exist yet. By
                default, the server can't be stopped before its end.
            starting: what to do before it is started.
        """
        self._setting = programs
        self._saved = saved
        self._starting = starting
        self._owner = os.getpid()
        self._cluster: Cluster | None = None
        self._databases: ClusterDatabases | None = None
        self._copies: Copies | None = None
        self._numbers = count(1)
        self._holders: dict[str, SandboxDatabase] = {}
        self.existing: set[SandboxDatabase] = set()
        """The databases of sandboxes that exist, under any name."""
        self._members: dict[str, set[str]] = {}
        """The roles that statements named, and their members."""
        self.lock = threading.RLock()

    def check(self) -> None:
        """Check that it can be started.

        Raises:
            SandboxError: the programs or the driver are missing.
        """
        self.programs  # noqa: B018
        from pytest_sqlmesh_tracker.sandbox.clusters.client import psycopg2

        psycopg2()

    @cached_property
    def programs(self) -> Programs:
        """The server's programs.

        Raises:
            SandboxError: there are none, or the setting is wrong.
        """
        return find_programs(self._setting)

    @property
    def runs(self) -> bool:
        """Whether this process has started it, and it has not ended."""
        return self._cluster is not None and os.getpid() == self._owner and self._cluster.runs

    @property
    def databases(self) -> ClusterDatabases:
        """The databases of the server, which is started if it does not run.

        Raises:
            SandboxError: it can't be started, has ended, or was started by another process.
        """
        if self._databases is None or self._cluster is None:
            saved = self._saved is not None and self._saved.is_dir()
            return self.start(self._saved if saved else None)
        if os.getpid() != self._owner:
            raise SandboxError(
                "this process is a fork of the one that has started the PostgreSQL server: make "
                "the sandbox after the fork"
            )
        if not self._cluster.runs:
            raise SandboxError("the PostgreSQL server of the tests has ended unexpectedly")
        return self._databases

    def start(self, data: Path | None) -> ClusterDatabases:
        """Start the server, which does not run.

        Args:
            data: a data folder that `stop` saved, which is copied; None for a server without
                databases.

        Raises:
            SandboxError: it can't be started.
        """
        from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
        from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases

        self._starting()
        self._owner = os.getpid()
        self._cluster = start_cluster(self.programs, data=data)
        self._databases = ClusterDatabases(self._cluster)
        return self._databases

    def stop(self) -> bool:
        """Stop the server unless a sandbox needs it; it is started again when one does.

        Returns:
            Whether it is stopped now; not if it has ended unexpectedly.

        Raises:
            SandboxError: it can't be stopped, or its data folder can't be saved.
        """
        # Another thread that is using it can be waiting for one that this thread is using.
        if self._saved is None or not self.lock.acquire(blocking=False):
            return False
        try:
            if self._cluster is None or self._databases is None:
                return True
            if self.existing or not self.runs:
                return False
            self._end_copies()
            self._databases.close()
            if self._saved.is_dir():
                self._cluster.close()
            else:
                self._cluster.save(self._saved)
            self._cluster, self._databases = None, None
            return True
        finally:
            self.lock.release()

    def connect(self, database: str, user: str) -> Any:
        """A new connection of psycopg2, as SQLMesh makes them, whose statements see a clock."""
        from pytest_sqlmesh_tracker.sandbox.clusters.client import connect

        from .clock_cursors import ClockConnection

        return connect(self.databases.cluster.host, database, user=user, factory=ClockConnection)

    def connect_to_maintain(self, database: str) -> Any:
        """A superuser's connection in autocommit mode."""
        return self.databases.cluster.connect(database)

    def new_name(self, database: str, purpose: str) -> str:
        """A name that no other database of the server has."""
        return f"{database} {purpose} {next(self._numbers)}"

    def create(self, database: PostgresDatabase) -> None:
        """Create an empty database, and the roles that it needs."""
        databases = self.databases
        for role in sorted(database.roles):
            databases.create_role(role)
            # Roles can't be members of each other.
            for member in self._members.pop(role, {role}) - {role}:
                databases.revoke(role, member=member)
        for role in sorted(database.roles - {database.owner}):
            databases.grant(database.owner, to=role)
        databases.create(database.name, owner=database.owner)

    def create_roles(self, roles: Iterable[str], *, members: Iterable[str]) -> None:
        """Create the roles that do not exist, without rights of their own.

        Args:
            members: roles that can set these roles, and own what is theirs.
        """
        with self.lock:
            for role in roles:
                if not self.databases.has_role(role):
                    self.databases.create_role(role)
                    self._members[role] = {role}
                # Other roles, such as PostgreSQL's own, have rights.
                for member in set(members) - self._members.get(role, set(members)):
                    self.databases.grant(role, to=member)
                    self._members[role].add(member)

    def create_extensions(self, database: str, extensions: Collection[str]) -> None:
        """Create extensions that do not exist yet, with the rights of a superuser.

        Raises:
            SandboxError: the server does not have an extension.
        """
        if extensions:
            self.databases.create_extensions(database, extensions)

    def take_copy(self, template: str, name: str) -> None:
        """Copy a template. The server makes the next copy of the same template in advance."""
        databases = self.databases
        if self._copies is not None and self._copies.template == template:
            self._copies.take(name)
            return
        from pytest_sqlmesh_tracker.sandbox.clusters.copies import Copies

        self._end_copies()
        databases.copy(template, name)
        self._copies = Copies(databases, template)

    def drop_template(self, template: str) -> None:
        """Drop a template, unless the server has ended."""
        with self.lock:
            if self.runs:
                if self._copies is not None and self._copies.template == template:
                    self._end_copies()
                self.databases.drop(template)

    def _end_copies(self) -> None:
        if self._copies is not None:
            copies, self._copies = self._copies, None
            copies.close()

    def hold(self, database: SandboxDatabase) -> None:
        """Give a sandbox's database the name of the user's, unless it has it.

        Raises:
            SandboxError: another sandbox is using a database of this name.
        """
        with self.lock:
            holder = self._holders.get(database.name)
            if holder is not database:
                if holder is not None:
                    holder.park()
                database.bring()
                self._holders[database.name] = database

    def is_held(self, database: SandboxDatabase) -> bool:
        """Whether the database has the name of the user's."""
        return self._holders.get(database.name) is database

    def release(self, database: SandboxDatabase) -> None:
        """Free the name for the next sandbox."""
        if self.is_held(database):
            del self._holders[database.name]

    def close(self) -> None:
        """End the server and drop everything that is on it."""
        with self.lock:
            cluster, self._cluster, self._databases, self._copies = self._cluster, None, None, None
            self._holders.clear()
            self._members.clear()
            self.existing.clear()
            if cluster is not None:
                cluster.close()


class SandboxDatabase:
    """One database of one sandbox: a copy of its template, or new for the template itself.

    It is made when it is first needed, so a gateway that nothing uses costs nothing.
    """

    def __init__(
        self,
        server: PostgresServer,
        database: PostgresDatabase,
        template: str | None,
        disconnect: Callable[[], None],
        *,
        parked: str | None = None,
    ) -> None:
        """Make nothing yet.

        Args:
            template: the template's database on the server; None for a new database.
            disconnect: closes the sandbox's connections to it, which are then opened anew.
            parked: the name under which it exists already, as a copy of another sandbox's.
        """
        self._server = server
        self._database = database
        self._template = template
        self._disconnect = disconnect
        self._parked = parked
        self._uses = 0
        if parked is not None:
            server.existing.add(self)

    @property
    def name(self) -> str:
        """The name of the user's database."""
        return self._database.name

    def connect(self, user: str) -> Any:
        """A new connection to it, under the name of the user's database."""
        with self._server.lock:
            self._server.hold(self)
            return self._server.connect(self.name, user)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Reject other sandboxes that need the name meanwhile."""
        with self._server.lock:
            self._uses += 1
        try:
            yield
        finally:
            with self._server.lock:
                self._uses -= 1

    def park(self) -> None:
        """Give up the name.

        Raises:
            SandboxError: the sandbox is using it.
        """
        self._check_unused()
        self._disconnect()
        self._parked = self._server.new_name(self.name, "parked")
        self._server.databases.rename(self.name, self._parked)
        self._server.release(self)

    def copy(self) -> str | None:
        """Copy it as it is, without what is not committed.

        Returns:
            The name of the copy; None if nothing has used the database.

        Raises:
            SandboxError: the sandbox is using it, or it can't be copied.
        """
        with self._server.lock:
            if self not in self._server.existing:
                return None
            self._check_unused()
            self._disconnect()
            copy = self._server.new_name(self.name, "parked")
            self._server.databases.copy(self._parked or self.name, copy)
            return copy

    def bring(self) -> None:
        """Make the database under its name, or rename it if it was parked."""
        if self._parked is not None:
            self._server.databases.rename(self._parked, self.name)
            self._parked = None
        elif self._template is not None:
            self._server.take_copy(self._template, self.name)
        else:
            self._server.create(self._database)
        self._server.existing.add(self)

    def _check_unused(self) -> None:
        if self._uses:
            raise SandboxError(
                f"another sandbox is using its database {self.name}: on PostgreSQL, sandboxes of "
                "a database take turns, so they can't be used by two threads at once"
            )

    def make_template(self) -> str | None:
        """Make it a template for copies; None if nothing has used it."""
        with self._server.lock:
            if self not in self._server.existing:
                return None
            template = self._server.new_name(self.name, "template")
            self._server.databases.make_template(self._parked or self.name, template)
            self._server.release(self)
            self._server.existing.discard(self)
            return template

    def drop(self) -> None:
        """Drop it, unless it was never made or the server has ended."""
        with self._server.lock:
            if self in self._server.existing and self._server.runs:
                self._server.existing.discard(self)
                self._server.databases.drop(self._parked or self.name)
                self._server.release(self)

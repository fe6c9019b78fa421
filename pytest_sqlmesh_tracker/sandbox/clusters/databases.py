"""The databases of a cluster: made, copied, renamed and dropped without waiting in vain."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .client import MAINTENANCE, psycopg2
from .cluster import Cluster

_PAUSE = 0.001
_PATIENT_TRIES = 50
"""How often to look whether sessions that are closing have ended before ending them."""
_TRIES = 5000


class ClusterDatabases:
    """The databases of a cluster, through one connection for maintenance.

    Threads can share it. Databases are named as users name them, also with capitals and quotes.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._connection = cluster.connect(MAINTENANCE)
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """The databases, sorted, without PostgreSQL's own templates."""
        rows = self._execute(
            "SELECT datname FROM pg_database WHERE datname NOT IN ('template0', 'template1')"
        )
        return sorted(name for (name,) in rows)

    def has_role(self, name: str) -> bool:
        """Whether a role exists, also one of PostgreSQL's own."""
        return bool(self._execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]))

    def create_role(self, name: str) -> None:
        """Create a role that can connect but has no rights of a superuser, unless it exists."""
        if not self.has_role(name):
            self._execute(self._sql("CREATE ROLE {} LOGIN", name))

    def grant(self, role: str, *, to: str) -> None:
        """Make a role a member of another role, with the rights of that role."""
        self._execute(self._sql("GRANT {} TO {}", role, to))

    def revoke(self, role: str, *, member: str) -> None:
        """End the membership of a role in another role."""
        self._execute(self._sql("REVOKE {} FROM {}", role, member))

    def create(self, name: str, *, owner: str) -> None:
        """Create an empty database."""
        self._execute(self._sql("CREATE DATABASE {} OWNER {} TEMPLATE template0", name, owner))

    def copy(self, template: str, name: str) -> None:
        """Copy a database to which nobody is connected; the copy has the same owner.

        Raises:
            SandboxError: the database does not exist, or it can't be copied.
        """
        self.wait_until_unused(template)
        with copying(template):
            self._execute(self.copying_statement(template, name))
        self.copy_settings(template, name)

    def copying_statement(self, template: str, name: str) -> Any:
        """The statement that copies a database, without its settings.

        Raises:
            SandboxError: the database does not exist.
        """
        owners = self._execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [template]
        )
        if not owners:
            raise SandboxError(f"the PostgreSQL cluster has no database {template}")
        # Files are copied faster than rows are logged. Before version 15, there was no choice.
        strategy = "STRATEGY file_copy" if self.cluster.programs.version >= 15 else ""
        text = f"CREATE DATABASE {{}} OWNER {{}} TEMPLATE {{}} {strategy}"
        return self._sql(text, name, owners[0][0], template)

    def copy_settings(self, template: str, name: str) -> None:
        """Copy the settings of a database (`ALTER DATABASE … SET`), which copies do not have."""
        self._execute(
            "INSERT INTO pg_db_role_setting "
            "SELECT copy.oid, setrole, setconfig FROM pg_db_role_setting "
            "JOIN pg_database AS template ON template.oid = setdatabase "
            "JOIN pg_database AS copy ON copy.datname = %s WHERE template.datname = %s",
            [name, template],
        )

    def make_template(self, database: str, template: str) -> None:
        """Make a database a template with another name, to which nobody can connect."""
        self.rename(database, template)
        self._execute(
            self._sql("ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false", template)
        )

    def rename(self, name: str, other: str) -> None:
        """Rename a database; its sessions are ended."""
        self.wait_until_unused(name)
        self._execute(self._sql("ALTER DATABASE {} RENAME TO {}", name, other))

    def drop(self, name: str) -> None:
        """Drop a database, even a template, if it exists; its sessions are ended."""
        with self._lock:
            if self._execute(
                "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", [name]
            ):
                self._execute(self._sql("ALTER DATABASE {} IS_TEMPLATE false", name))
            self.wait_until_unused(name)
            self._execute(self._sql("DROP DATABASE IF EXISTS {}", name))

    def wait_until_unused(self, name: str) -> None:
        """Wait until a database has no sessions, and end those that remain.

        A session that was closed exists for another millisecond. PostgreSQL would wait for it in
        steps of 100 milliseconds when the database is copied, renamed or dropped.

        Raises:
            SandboxError: a session can't be ended.
        """
        for number in range(_TRIES):
            if not self._execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s", [name]):
                return
            if number == _PATIENT_TRIES:
                self._execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )
            time.sleep(_PAUSE)
        raise SandboxError(f"the database {name} of the PostgreSQL cluster is still in use")

    def available_extensions(self) -> dict[str, str]:
        """The version of each extension that the server would create."""
        return dict(self._execute("SELECT name, default_version FROM pg_available_extensions"))

    def create_extensions(self, database: str, extensions: Iterable[str]) -> None:
        """Create extensions in a database with the rights of a superuser.

        Raises:
            SandboxError: the server does not have an extension.
        """
        connection = self.cluster.connect(database)
        try:
            for extension in extensions:
                statement = self._sql("CREATE EXTENSION IF NOT EXISTS {} CASCADE", extension)
                try:
                    connection.cursor().execute(statement)
                except psycopg2().Error as error:
                    missing = missing_extension(error)
                    if missing is None:
                        raise
                    raise SandboxError(
                        f"the PostgreSQL server in {self.cluster.programs.folder} does not have "
                        f"the extension {missing}"
                    ) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection; the databases remain."""
        self._connection.close()

    def _execute(self, statement: Any, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def _sql(self, text: str, *names: str) -> Any:
        """A statement with quoted names in place of its braces."""
        sql = psycopg2().sql
        return sql.SQL(text).format(*map(sql.Identifier, names))


@contextmanager
def copying(template: str) -> Iterator[None]:
    """Report an error of PostgreSQL, as that its disk is full, in one line."""
    try:
        yield
    except psycopg2().Error as error:
        reason = str(error).partition("\n")[0]
        raise SandboxError(f"the database {template} can't be copied: {reason}") from error


_MISSING = re.compile(r'extension "([^"]+)" is not available|/([^/"]+)\.control"')


def missing_extension(error: BaseException) -> str | None:
    """The extension that a statement needs and the server does not have; None for other errors."""
    codes = ("0A000", "58P01")  # feature_not_supported, undefined_file
    if getattr(error, "pgcode", None) not in codes:
        return None
    match = _MISSING.search(str(error))
    return match and (match[1] or match[2])

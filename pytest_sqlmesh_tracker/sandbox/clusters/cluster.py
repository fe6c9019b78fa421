"""A running PostgreSQL cluster, which ends with this process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .accounts import server_account
from .client import MAINTENANCE, SUPERUSER, connect, psycopg2
from .folders import MEMORY, PORT, ClusterFolder, make_folder, parents_of_folders, remove_leftovers
from .programs import Programs
from .watcher import Watcher

_PAUSE = 0.005
_TRIES = 12_000
"""A minute of pauses. They are counted, since a test can have replaced the clock."""
_FLAGS = {
    "listen_addresses": "",
    # The data need not survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Otherwise, old segments would be kept for reuse: a third of a small cluster's size.
    "wal_recycle": "off",
    # Connections and unlogged tables would not survive, so one error is better than many.
    "restart_after_crash": "off",
    # Its workers connect to databases, which can't be copied or dropped meanwhile.
    "autovacuum": "off",
    # A test that waits for its own lock would wait forever: psycopg2 can't be interrupted.
    "lock_timeout": "60s",
    # In the data folder, it is removed with it; `/dev/shm` is small in containers.
    "dynamic_shared_memory_type": "mmap",
    # Tests have few rows, and no statistics that say so.
    "jit": "off",
    # initdb takes it from the machine. What `ALTER DATABASE` or `ALTER ROLE` sets has precedence.
    "timezone": "UTC",
    # Errors of statements reach the client.
    "log_min_messages": "fatal",
}


class Cluster:
    """A running PostgreSQL cluster in a folder of its own.

    Only the process that started it can end it: in forked processes, `close` has no effect.
    """

    def __init__(self, programs: Programs, folder: ClusterFolder, watcher: Watcher) -> None:
        self.programs = programs
        self._folder = folder
        self._watcher: Watcher | None = watcher
        self._owner = os.getpid()

    @property
    def host(self) -> str:
        """The folder of the server's socket, which clients take for its host."""
        return str(self._folder.path)

    @property
    def port(self) -> int:
        """The port, which is a part of the socket's name."""
        return PORT

    @property
    def runs(self) -> bool:
        """Whether the server runs, as far as its own process can tell."""
        return self._watcher is not None and self._watcher.has_server

    def connect(self, database: str, *, user: str = SUPERUSER) -> Any:
        """A connection of psycopg2 in autocommit mode."""
        connection = connect(self.host, database, user=user)
        connection.autocommit = True
        return connection

    def close(self) -> None:
        """End the server at once and remove the folder, unless that has been done."""
        if self._watcher is None or os.getpid() != self._owner:
            return
        watcher, self._watcher = self._watcher, None
        watcher.close()
        self._folder.remove()
        self._folder.unlock()

    def save(self, target: Path) -> None:
        """Stop the server, copy its data folder, from which others can start, and close.

        Args:
            target: where the copy is made; it does not exist yet.

        Raises:
            SandboxError: the server does not stop, or its data folder can't be copied.
        """
        assert self._watcher is not None
        pid = int((self._folder.data / "postmaster.pid").read_text().split()[0])
        # INT ends the sessions and writes everything to the files.
        os.kill(pid, signal.SIGINT)
        for _ in range(_TRIES):
            if not self._watcher.has_server:
                self._copy_data(target)
                self.close()
                return
            time.sleep(_PAUSE)
        raise SandboxError("PostgreSQL's server does not stop")

    def _copy_data(self, target: Path) -> None:
        try:
            shutil.copytree(self._folder.data, target)
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise SandboxError(f"PostgreSQL's data can't be copied to {target}: {error}") from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def start_cluster(
    programs: Programs, *, data: Path | None = None, memory: Path = MEMORY
) -> Cluster:
    """Make a cluster and start its server; first, remove what killed processes left behind.

    Args:
        data: a data folder that `Cluster.save` made with programs of the same version; it is
            copied. By default, the cluster has no databases except PostgreSQL's templates.
        memory: where a file system in memory is mounted; it is used if it has enough free space.

    Raises:
        SandboxError: the server can't be started, or psycopg2 is not installed.
    """
    psycopg2()
    account = server_account()
    remove_leftovers(account, memory)
    must_copy = account is not None and programs.are_hidden_from(account)
    folder = make_folder(account, parents_of_folders(account, memory, for_programs=must_copy))
    watcher = None
    try:
        watcher = Watcher(folder.path, account=account, environment=_environment())
        if account is not None and must_copy:
            programs = programs.copied(folder.path / "programs", account)
        if data is not None:
            shutil.copytree(data, folder.data)
            folder.data.chmod(0o700)
            if account is not None:
                account.own(folder.data)
        watcher.run(
            _initdb_command(programs, folder) if data is None else ["true"],
            _server_command(programs, folder),
        )
        _wait_for_server(watcher, folder)
        if data is None:
            _drop_database_of_initdb(folder)
    except BaseException as error:
        if watcher is not None:
            watcher.close()
        folder.remove()
        folder.unlock()
        if isinstance(error, OSError):
            raise SandboxError(f"PostgreSQL's server can't be started: {error}") from error
        raise
    return Cluster(programs, folder, watcher)


def _initdb_command(programs: Programs, folder: ClusterFolder) -> list[str]:
    # With the locale C, PostgreSQL knows letters of ASCII only: upper('é') = 'é'.
    if programs.version >= 17:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        locale = ["--locale=en_US.UTF-8" if sys.platform == "darwin" else "--locale=C.UTF-8"]
    return [
        str(programs.initdb),
        f"--pgdata={folder.data}",
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        *locale,
        "--no-sync",
        "--wal-segsize=1",
        *(["--no-data-checksums"] if programs.version >= 18 else []),
    ]


def _server_command(programs: Programs, folder: ClusterFolder) -> list[str]:
    flags = [f"--{name}={value}" for name, value in _FLAGS.items()]
    socket = f"--unix_socket_directories={folder.path}"
    return [str(programs.postgres), "-D", str(folder.data), "-p", str(PORT), socket, *flags]


def _environment() -> dict[str, str]:
    """What the programs need of the environment; libpq's variables would mislead them."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {"PATH": os.defpath, **found, "LC_ALL": "C", "TZ": "UTC"}


def _wait_for_server(watcher: Watcher, folder: ClusterFolder) -> None:
    for _ in range(_TRIES):
        if folder.socket.exists() and _answers(folder):
            return
        if not watcher.has_server:
            break
        time.sleep(_PAUSE)
    raise SandboxError(f"PostgreSQL's server did not start: {_reason(folder)}")


def _reason(folder: ClusterFolder) -> str:
    """The line of the log that says most."""
    try:
        lines = folder.log.read_text(errors="replace").strip().split("\n")
    except FileNotFoundError:
        lines = [""]
    return next((line for line in lines if "error:" in line or "FATAL:" in line), lines[-1])


def _drop_database_of_initdb(folder: ClusterFolder) -> None:
    """Make the name `postgres` free, which a project's database can have."""
    connection = connect(str(folder.path), MAINTENANCE)
    connection.autocommit = True
    connection.cursor().execute("DROP DATABASE IF EXISTS postgres")
    connection.close()


def _answers(folder: ClusterFolder) -> bool:
    try:
        connect(str(folder.path), MAINTENANCE).close()
    except psycopg2().OperationalError:
        # It accepts no connections yet.
        return False
    return True

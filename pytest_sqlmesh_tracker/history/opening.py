"""Opening the DuckDB file of a history, which one process at a time can write."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pytest_sqlmesh_tracker.process.frozen import perf_counter

from .schema import SCHEMA, TABLES, VERSION, NotAHistoryError, migrate, version_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Error

LONGEST_WAIT = 10.0
"""How many seconds to wait for other processes."""

_PAUSE = 0.01
_LOCKED = re.compile(
    "(set|[Cc]onflicting) lock|used by another process|different configuration|file handle conflict"
)
"""What DuckDB says of a file that another process has open, or this one, with other settings."""
_threads: dict[Path, threading.Lock] = defaultdict(threading.Lock)
"""File → what the threads of this process wait for."""


class HistoryBusyError(OSError):
    """Another process has the file open."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EAGAIN, "another process has the history open", os.fspath(path))


@contextmanager
def opened(
    path: Path, *, writing: bool = False, longest_wait: float = LONGEST_WAIT
) -> Iterator[DuckDBPyConnection]:
    """A connection to a history that exists; for writing, in a transaction that the caller commits.

    Args:
        path: the file, resolved.
        longest_wait: how many seconds to wait for other processes and threads.

    Raises:
        FileNotFoundError: the file does not exist.
        HistoryBusyError: another process has had it open all the time.
        NotAHistoryError: the file is not a history, or a newer version has written it.
        OSError: the file can't be opened or written.
    """
    import duckdb

    deadline = perf_counter() + longest_wait
    _reject_name(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if not _threads[path].acquire(timeout=longest_wait):
        raise HistoryBusyError(path)
    try:
        connection = _connected(path, writing, deadline)
        try:
            version = version_of(connection)
            if writing:
                connection.execute("BEGIN")
                migrate(connection, version)
            elif version < VERSION:
                # Nothing was appended yet, or an earlier version of this package did it last.
                migrate(connection := _in_memory(connection, path, version), version)
            yield connection
        except duckdb.Error as error:
            raise _error(path, error) from None
        finally:
            connection.close()
    finally:
        _threads[path].release()


def _in_memory(connection: DuckDBPyConnection, path: Path, version: int) -> DuckDBPyConnection:
    """A copy in memory, which can be migrated; the connection is closed."""
    import duckdb

    connection.close()
    memory = duckdb.connect()
    if version:
        memory.execute(f"ATTACH '{_quoted(path)}' AS history (READ_ONLY)")
        memory.execute(f"CREATE SCHEMA {SCHEMA}")
        for name in ("version", "recent", "exact", *(table.name for table in TABLES)):
            memory.execute(
                f"CREATE TABLE {SCHEMA}.{name} AS FROM history.{SCHEMA}.{name} ORDER BY rowid"
            )
        memory.execute("DETACH history")
    return memory


def _connected(path: Path, writing: bool, deadline: float) -> DuckDBPyConnection:
    import duckdb

    while True:
        try:
            try:
                if not writing:
                    return duckdb.connect(os.fspath(path), read_only=True)
                # To start and end other threads takes longer than they could save.
                return duckdb.connect(os.fspath(path), config={"threads": 1})
            except duckdb.ConnectionException:
                # This process has it open for writing.
                return duckdb.connect(os.fspath(path))
        except duckdb.Error as error:
            if not _LOCKED.search(str(error)):
                raise _error(path, error) from None
        if perf_counter() > deadline:
            raise HistoryBusyError(path)
        time.sleep(_PAUSE)


def _error(path: Path, error: Error) -> Exception:
    """The error in one line, without what DuckDB adds about its own."""
    import duckdb

    line = str(error).splitlines()[0]
    if "not a valid DuckDB database" in line:
        return NotAHistoryError("not a history: not a DuckDB database")
    if isinstance(error, duckdb.IOException):
        return OSError(errno.EIO, line, os.fspath(path))
    return NotAHistoryError(f"not a readable history: {line}")


def create(path: Path) -> None:
    """Create an empty history, unless the file exists: at any moment, it is there whole or not.

    Raises:
        OSError: the file can't be created.
    """
    import duckdb

    _reject_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH '{_quoted(unfinished)}' AS history{_storage()}")
            connection.execute("USE history")
            connection.execute("BEGIN")
            migrate(connection, 0)
            connection.execute("COMMIT")
            connection.execute("USE memory")
            connection.execute("DETACH history")
        with suppress(FileExistsError):
            _put_in_place(unfinished, path)
    except duckdb.Error as error:
        raise _error(path, error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _reject_name(path: Path) -> None:
    """Reject a name for which DuckDB could not tell the database from the schema in it."""
    if path.stem.casefold() == SCHEMA:
        raise NotAHistoryError(
            f"a history can't be called {path.name!r}, because a schema in it has that name; "
            "choose another name, such as runs.duckdb"
        )


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Give the file its name, unless another process has created it meanwhile.

    Raises:
        FileExistsError: another process has.
    """
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # Not all file systems have hard links.
        if not path.exists():
            unfinished.rename(path)
    sync_folder(path.parent)


def _quoted(path: Path) -> str:
    return os.fspath(path).replace("'", "''")


def _storage() -> str:
    """The format of the file: from 1.4 on, appending rewrites less, and takes half the time."""
    import duckdb

    known = tuple(int(part) for part in duckdb.__version__.split(".")[:2])
    return " (STORAGE_VERSION 'v1.4.0')" if known >= (1, 4) else ""


def sync_folder(folder: Path) -> None:
    """Make sure that the names of new files survive a crash of the machine."""
    # Windows does not open folders.
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check(path: str | os.PathLike[str], *, longest_wait: float = LONGEST_WAIT) -> None:
    """Reject a file that reports can't be appended to, because it is something else.

    A file that another process has open all the time is accepted: what it is can't be seen.

    Args:
        path: the file.
        longest_wait: how many seconds to wait for other processes.

    Raises:
        ValueError: the file exists, and is not a history, or a newer version has written it; the
            message is one line.
        OSError: the file can't be read.
    """
    history = Path(path).resolve()
    with (
        suppress(FileNotFoundError, HistoryBusyError),
        opened(history, longest_wait=longest_wait),
    ):
        pass

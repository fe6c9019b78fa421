"""MySQL: MariaDB's server, from Debian's mariadb-server-core and mariadb-client-core."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlglot import exp
from sqlmesh.core.config import MySQLConnectionConfig
from sqlmesh.core.engine_adapter.mysql import MySQLEngineAdapter

from pytest_sqlmesh_tracker.sandbox.clusters.watcher import Watcher

from .duckdb import state_in
from .engine import Dialect, Engine
from .ports import free_port

DIALECT = Dialect("mysql", timestamp="DATETIME")
_USER, _PASSWORD = "shop", "shop"
_PACKAGES = "Debian's mariadb-server-core and mariadb-client-core"
_PROGRAMS = ("mariadb-install-db", "mariadbd", "my_print_defaults")
_TRIES, _PAUSE = 600, 0.05


@contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """A server with an empty data folder; it ends with this process, too, if that is killed."""
    with _server() as port, patch.object(MySQLEngineAdapter, "columns", _columns_without_width):
        connection = MySQLConnectionConfig(
            host="127.0.0.1",
            port=port,
            user=_USER,
            password=_PASSWORD,
            # With more, transactions of SQLMesh's adapter block each other: error 1213.
            concurrent_tasks=1,
        )
        yield Engine(
            dialect=DIALECT,
            connection=connection,
            state_connection=state_in(folder),
        )


_columns = MySQLEngineAdapter.columns


def _columns_without_width(
    self: MySQLEngineAdapter, *args: Any, **kwargs: Any
) -> Mapping[str, exp.DataType]:
    """MariaDB reports integers with a display width, `bigint(20)`, as MySQL 8 no longer does."""
    integers = exp.DataType.INTEGER_TYPES
    return {
        name: exp.DataType(this=type_.this) if type_.is_type(*integers) else type_
        for name, type_ in _columns(self, *args, **kwargs).items()
    }


@contextmanager
def _server() -> Iterator[int]:
    """A running server: its port."""
    programs = {
        name: shutil.which(name) for name in ("mariadb-install-db", "mariadbd", "my_print_defaults")
    }
    missing = sorted(name for name, path in programs.items() if path is None)
    if missing:
        raise RuntimeError(
            f"not installed: {missing} of mariadb-server-core and mariadb-client-core"
        )
    # The watcher removes the folder, and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir="/tmp"))
    (folder / "init.sql").write_text(
        # A line for each statement.
        f"CREATE USER {_USER}@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';\n"
        f"GRANT ALL ON *.* TO {_USER}@'127.0.0.1';\n"
    )
    port = free_port()
    shared = ["--no-defaults", f"--datadir={folder / 'data'}", *_as_root()]
    watcher = Watcher(folder, account=None, environment={"PATH": os.environ["PATH"], "TZ": "UTC"})
    try:
        watcher.run(
            ["mariadb-install-db", *shared, "--skip-test-db", "--skip-name-resolve"],
            [
                "mariadbd",
                *shared,
                f"--port={port}",
                "--bind-address=127.0.0.1",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                f"--init-file={folder / 'init.sql'}",
                "--skip-name-resolve",
                # The data need not survive a crash.
                "--innodb-flush-log-at-trx-commit=0",
            ],
        )
        _wait_for(watcher, port, folder / "log")
        yield port
    finally:
        watcher.close()


def _as_root() -> list[str]:
    """MariaDB does not run as root unless that is what it is asked for."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _wait_for(watcher: Watcher, port: int, log: Path) -> None:
    import pymysql

    reason: Exception | None = None
    for _ in range(_TRIES):
        try:
            pymysql.connect(host="127.0.0.1", port=port, user=_USER, password=_PASSWORD).close()
        except pymysql.OperationalError as error:
            reason = error
            if not watcher.has_server:
                break
            time.sleep(_PAUSE)
        else:
            return
    raise RuntimeError(
        f"MariaDB's server did not start: {reason}\n{log.read_text(errors='replace')}"
    )

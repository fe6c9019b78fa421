"""psycopg2, as far as clusters are concerned."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .folders import PORT

SUPERUSER = "sqlmesh_tracker"
"""Not `postgres`: a project can connect as that, and must not have the rights of a superuser."""
MAINTENANCE = "template1"
"""The database that connections for maintenance use: no project has one with this name."""
_OF_THE_ENVIRONMENT = {
    # With an address, libpq would connect to that instead of the socket.
    "hostaddr": "",
    "requirepeer": "",
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "target_session_attrs": "any",
    "options": "",
}
"""What libpq would otherwise take from environment variables, for the user's own servers."""
_WITHOUT_PARAMETER = ("PGTZ", "PGDATESTYLE")
"""Environment variables that no parameter overrides."""


def psycopg2() -> Any:
    """The module.

    Raises:
        SandboxError: it is not installed.
    """
    try:
        import psycopg2
        import psycopg2.extensions
        import psycopg2.sql
    except ImportError:
        raise SandboxError(
            "psycopg2 is not installed: pip install 'pytest-sqlmesh-tracker[postgres]' brings it"
        ) from None
    return psycopg2


def connect(
    host: str,
    database: str,
    *,
    user: str = SUPERUSER,
    asynchronous: bool = False,
    factory: type | None = None,
) -> Any:
    """A connection, whatever libpq's environment variables say.

    Args:
        factory: the class of the connection, if not psycopg2's own.
    """
    with _unset(_WITHOUT_PARAMETER):
        return psycopg2().connect(
            host=host,
            port=PORT,
            user=user,
            dbname=database,
            client_encoding="UTF8",
            async_=asynchronous,
            connection_factory=factory,
            **_OF_THE_ENVIRONMENT,
        )


@contextmanager
def _unset(variables: Iterable[str]) -> Iterator[None]:
    values = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(values)

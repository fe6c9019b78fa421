"""The time that a PostgreSQL database shows: functions that read it from a table.

Views and defaults store the functions, so they move with the clock, whatever connection reads them.
The driver is imported where it is used: it is not a dependency of the package, and every sandbox
imports this module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pytest_sqlmesh_tracker.sandbox.clock import Clock, DatabaseTime

SCHEMA = "sqlmesh_tracker_clock"
"""The schema of the functions, in each database of a sandbox. PostgreSQL would create extensions in
it if it had the superuser's name."""
_UNDEFINED = ("42P01", "3F000")  # undefined_table, invalid_schema_name
_SHIFTED = f"greatest(earliest, pg_catalog.{{}}() + ahead) FROM {SCHEMA}.clock"
_STABLE = {
    "now() RETURNS timestamptz": _SHIFTED.format("now"),
    "transaction_timestamp() RETURNS timestamptz": _SHIFTED.format("now"),
    "statement_timestamp() RETURNS timestamptz": _SHIFTED.format("statement_timestamp"),
    '"current_timestamp"() RETURNS timestamptz': _SHIFTED.format("now"),
    '"current_date"() RETURNS date': f"CAST({SCHEMA}.now() AS date)",
    '"current_time"() RETURNS timetz': f"CAST({SCHEMA}.now() AS timetz)",
    '"localtime"() RETURNS time': f"CAST({SCHEMA}.now() AS time)",
    '"localtimestamp"() RETURNS timestamp': f"CAST({SCHEMA}.now() AS timestamp)",
}
_VOLATILE = {
    "clock_timestamp() RETURNS timestamptz": _SHIFTED.format("clock_timestamp"),
    "timeofday() RETURNS text": (
        f"to_char({SCHEMA}.clock_timestamp(), 'Dy Mon DD HH24:MI:SS.US YYYY TZ')"
    ),
}
_FUNCTIONS = [
    f"CREATE FUNCTION {SCHEMA}.{signature} LANGUAGE sql {volatility} PARALLEL SAFE "
    f"AS $$ SELECT {body} $$"
    for volatility, functions in (("STABLE", _STABLE), ("VOLATILE", _VOLATILE))
    for signature, body in functions.items()
]
_INSTALL = ";".join(
    [
        f"CREATE SCHEMA {SCHEMA}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC",
        f"CREATE TABLE {SCHEMA}.clock (earliest timestamptz, ahead interval)",
        f"INSERT INTO {SCHEMA}.clock DEFAULT VALUES",
        f"GRANT SELECT ON {SCHEMA}.clock TO PUBLIC",
        *_FUNCTIONS,
    ]
)
_UPDATE = f"UPDATE {SCHEMA}.clock SET earliest = %s, ahead = %s"


class DatabaseClock:
    """The clock of a sandbox in one of its databases, through a connection of its own.

    What the transactions of users do, or whether they fail, does not matter to it.
    """

    def __init__(self, clock: Clock, connect: Callable[[], Any]) -> None:
        """Connect to nothing yet.

        Args:
            connect: opens a superuser's connection in autocommit mode.
        """
        self._clock = clock
        self._connect = connect
        self._connection: Any = None
        self._shown: DatabaseTime | None = None
        self._lock = threading.Lock()
        clock.when_moved(self._renew_views)

    def renew(self) -> None:
        """Show the present time, before a statement is executed."""
        with self._lock:
            time = self._clock.database_time
            if time != self._shown:
                self._show(time)
                self._shown = time

    def _renew_views(self) -> None:
        """Show the present time to connections of which the sandbox knows nothing."""
        if self._connection is None:
            return
        import psycopg2

        # If the server has ended, the next statement raises the error.
        with suppress(psycopg2.Error):
            self.renew()

    def close(self) -> None:
        """Close the connection, which is opened anew when it is needed."""
        with self._lock:
            connection, self._connection, self._shown = self._connection, None, None
            if connection is not None:
                connection.close()

    def _show(self, time: DatabaseTime) -> None:
        import psycopg2

        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        cursor = self._connection.cursor()
        try:
            cursor.execute(_UPDATE, [time.earliest, time.ahead])
        except psycopg2.Error as error:
            if error.pgcode not in _UNDEFINED:
                raise
            cursor.execute(_INSTALL)
            cursor.execute(_UPDATE, [time.earliest, time.ahead])

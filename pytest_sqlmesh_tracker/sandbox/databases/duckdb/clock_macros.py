"""The time that DuckDB shows: temporary macros in place of its functions.

A temporary macro takes precedence over a function of the same name, also in views and defaults that
other cursors have created. These store the name that the user wrote, so they work without macros,
too. A macro exists only on its cursor.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any
from weakref import WeakKeyDictionary

import duckdb

from pytest_sqlmesh_tracker.sandbox.clock import Clock, DatabaseTime

VERSION = tuple(int(part) for part in duckdb.__version__.split(".")[:2])
_IN_UTC = "now() AT TIME ZONE 'UTC'"
# Before version 1.2, the date and the time of day were in UTC, whatever the time zone.
_DATE = "CAST(now() AS DATE)" if VERSION >= (1, 2) else f"CAST({_IN_UTC} AS DATE)"
_TIME = "CAST(now() AS TIMETZ)" if VERSION >= (1, 2) else f"CAST({_IN_UTC} AS TIME)"
_DAY_IN_UTC = f"CAST(CAST({_IN_UTC} AS DATE) AS TIMESTAMP)" if VERSION >= (1, 2) else _IN_UTC
_DERIVED = {
    "get_current_timestamp()": "now()",
    "transaction_timestamp()": "now()",
    "current_date()": _DATE,
    "today()": _DATE,
    "get_current_time()": _TIME,
    "current_localtimestamp()": "CAST(now() AS TIMESTAMP)",
    "current_localtime()": "CAST(CAST(now() AS TIMESTAMP) AS TIME)",
}
"""What DuckDB's parser makes of the keywords, and the functions themselves."""
_AGE = f"""
    (x) AS CASE WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE'
                THEN system.main.age(CAST({_DATE} AS TIMESTAMPTZ), CAST(x AS TIMESTAMPTZ))
                ELSE system.main.age({_DAY_IN_UTC}, CAST(x AS TIMESTAMP)) END,
    (x, y) AS system.main.age(x, y)
"""
_MACRO = "CREATE OR REPLACE TEMP MACRO"
_INSTALL = ";".join(
    [
        *(f"{_MACRO} {function} AS {body}" for function, body in _DERIVED.items()),
        # Macros with several signatures exist since version 1.1.
        *([f"{_MACRO} age {_AGE}"] if VERSION >= (1, 1) else []),
    ]
)
_READS_TIME = re.compile(
    r"\b(now|today|age)\s*\(|current_(date|time|local)|\blocaltime|\btransaction_timestamp",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Shown:
    """What a cursor shows.

    Attributes:
        time: None if the cursor's macros may have been rolled back.
        moves: how often the clock had been set before.
        thread: the thread that uses the cursor.
    """

    time: DatabaseTime | None
    moves: int
    thread: int


class ClockMacros:
    """The macros on the cursors of one sandbox, which show the time of its clock."""

    def __init__(self, clock: Clock, *, is_read: bool) -> None:
        """Start without cursors.

        Args:
            is_read: whether anything in the databases, such as a view, may read the time already.
        """
        self._clock = clock
        self._is_read = is_read
        self._lock = threading.Lock()
        self._shown: WeakKeyDictionary[Any, _Shown] = WeakKeyDictionary()
        clock.when_moved(self._renew_own)

    def install(self, cursor: Any) -> None:
        """Let a new cursor show the time."""
        self._define_now(cursor)
        cursor.execute(_INSTALL)

    def executing(self, cursor: Any, sql: str) -> None:
        """Advance the clock and show its time, before a cursor executes a statement."""
        self._clock.executing()
        # A clock that does not tick advances with each statement. The plan of a template has many,
        # and none reads the time before one contains a word for it, such as the query of a view.
        self._is_read = self._is_read or bool(_READS_TIME.search(sql))
        shown = self._shown.get(cursor)
        if self._is_read and (shown is None or shown.time != self._clock.database_time):
            self._show(cursor)

    def renew_if_moved(self, cursor: Any) -> None:
        """Show the present time if the clock was set in the meantime.

        A cursor can have rows to be fetched, which this discards: a clock that does not tick
        advances with the statements of all threads.
        """
        shown = self._shown.get(cursor)
        if shown is None:
            self.install(cursor)
        elif shown.time is None or shown.moves != self._clock.moves:
            self._show(cursor)

    def rolled_back(self, cursor: Any) -> None:
        """Show the time again, since the macros can be those from before the transaction."""
        self._record(cursor, None)
        self._show(cursor)

    def _renew_own(self) -> None:
        with self._lock:
            cursors = dict(self._shown)
        for cursor, shown in cursors.items():
            # Others can be executing statements, and are renewed before their next one.
            if shown.thread == threading.get_ident():
                self._show(cursor)

    def _show(self, cursor: Any) -> None:
        # In a failed transaction, or on a closed cursor, the next statement raises the error.
        with suppress(duckdb.Error):
            self._define_now(cursor)

    def _define_now(self, cursor: Any) -> None:
        time = self._clock.database_time
        cursor.execute(f"{_MACRO} now() AS {_expression(time)}")
        self._record(cursor, time)

    def _record(self, cursor: Any, time: DatabaseTime | None) -> None:
        with self._lock:
            self._shown[cursor] = _Shown(time, self._clock.moves, threading.get_ident())


def _expression(time: DatabaseTime) -> str:
    earliest = f"TIMESTAMPTZ '{time.earliest.astimezone(timezone.utc).isoformat(sep=' ')}'"
    if time.ahead is None:
        return earliest
    ahead = f"to_microseconds({time.ahead // timedelta(microseconds=1)})"
    return f"greatest({earliest}, system.main.get_current_timestamp() + {ahead})"

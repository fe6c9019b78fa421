"""Which files DuckDB reads, from its own log."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb

_UNWATCHED = re.compile(
    r"\b(INSTALL|sqlite_\w+|postgres_\w+|mysql_\w+|iceberg_\w+|delta_scan|st_read\w*|getenv)\b"
    r"|^\s*LOAD\s|\bATTACH\b[^;]*\bTYPE\s+(?!duckdb)|\bATTACH\b[^;]*'(sqlite|postgres|mysql|md|ducklake):"
    r"|\b(https?|s3|s3a|s3n|gs|gcs|r2|az|azure|abfss?|hf)://",
    re.IGNORECASE,
)
"""What reads files or networks without DuckDB's log."""
_HOME = re.compile(r"['\"]~")
_READS = re.compile(r"\b(read_\w+|\w+_scan|glob|COPY|sniff_csv)\b|\bFROM\s*'", re.IGNORECASE)
_COMPUTED = re.compile(r"\|\||\b(concat\w*|format|printf|getvariable|replace)\s*\(", re.IGNORECASE)
_QUOTED = re.compile(
    r"--[^\n]*|/\*.*?\*/|'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|\$(\w*)\$(.*?)\$\3\$", re.DOTALL
)
"""Comments and quoted texts; the groups 1, 2 and 4 have the content of the latter."""
_GLOB = re.compile(r"[*?\[]")
_ANYWHERE = re.compile(r"/*\*\*")


class DuckDBLog:
    """The logs of the databases that are open while a template is planned.

    Attributes:
        files: the files that were opened.
        globs: the globs in statements.
        obstacles: why statements can't be watched, in words.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.globs: set[str] = set()
        self.obstacles: set[str] = set()
        self._observed: list[Any] = []
        self._statements: list[str] = []

    def observe(self, connection: Any) -> bool:
        """Begin to log. False if this version of DuckDB can't."""
        try:
            connection.execute("CALL enable_logging(['FileSystem', 'QueryLog'])")
        except duckdb.Error:
            return False
        self._observed.append(connection.cursor())
        return True

    def finish(self) -> None:
        """Read the logs. This must be called while the databases are open."""
        for cursor in self._observed:
            messages = cursor.execute(
                "SELECT DISTINCT type, message FROM duckdb_logs WHERE type = 'QueryLog' "
                """OR (type = 'FileSystem' AND message LIKE '%"OPEN"%')"""
            ).fetchall()
            cursor.close()
            for kind, message in messages:
                if kind == "QueryLog":
                    self._examine(message)
                else:
                    self._opened(json.loads(message))
        self._observed.clear()
        for path in self.files.copy():
            # What was last written to a database is in its log.
            self.files.add(f"{path}.wal")

    def obstacles_of(self, files: Iterable[str]) -> Iterator[str]:
        """Why it is not known which statements read these files, in words.

        A statement that does not contain a file's name can read others the next time.
        """
        for path in files:
            database = path.removesuffix(".wal")
            if not (database.endswith(".duckdb_extension") or self._names(database)):
                yield "read files whose names are computed in SQL"

    def _names(self, path: str) -> bool:
        relative = os.path.relpath(path)
        return any(fnmatch(path, pattern) for pattern in self.globs) or any(
            path in sql or relative in sql for sql in self._statements
        )

    def _opened(self, message: dict[str, str]) -> None:
        if message["fs"] == "LocalFileSystem":
            self.files.add(str(Path(message["path"]).absolute()))
        else:
            self.obstacles.add("read a file that is not local")

    def _examine(self, sql: str) -> None:
        self._statements.append(sql)
        if _HOME.search(sql):
            self.obstacles.add("read files in the home directory in SQL")
        if _UNWATCHED.search(sql):
            self.obstacles.add("executed SQL that can read from a network or another database")
        # Macros, variables and quoted names can be globs, too. Other texts that look like globs do
        # not matter, as long as they do not search all folders.
        quoted = [match[1] or match[2] or match[4] or "" for match in _QUOTED.finditer(sql)]
        globs = [text for text in quoted if _GLOB.search(text) and "\n" not in text]
        reads = bool(_READS.search(sql))
        globs = [each for each in globs if reads or not _ANYWHERE.match(each)]
        if globs and reads and _COMPUTED.search(sql):
            self.obstacles.add("read files whose names are computed in SQL")
        self.globs.update(str(Path(pattern).absolute()) for pattern in globs)

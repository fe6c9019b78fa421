"""Which files DuckDB reads, from its own log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb

_UNWATCHED = re.compile(
    r"\b(INSTALL|sqlite_\w+|postgres_\w+|mysql_\w+|iceberg_\w+|delta_scan|st_read\w*|getenv)\b"
    r"|\b(https?|s3|s3a|s3n|gs|gcs|r2|az|azure|abfss?|hf)://",
    re.IGNORECASE,
)
"""What reads files or networks without DuckDB's log."""
_READS = re.compile(r"\b(read_\w+|\w+_scan|glob|COPY|sniff_csv)\b|\bFROM\s*'", re.IGNORECASE)
_COMPUTED = re.compile(r"\|\||\b(concat\w*|format|printf|getvariable|replace)\s*\(", re.IGNORECASE)
_GLOB = re.compile(r"'([^'\n]*[*?\[][^'\n]*)'")


class DuckDBLog:
    """The logs of the databases that are open while a template is planned.

    Attributes:
        files: the files that were opened.
        globs: the globs in statements that read files.
        obstacles: why statements can't be watched, in words.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.globs: set[str] = set()
        self.obstacles: set[str] = set()
        self._observed: list[Any] = []

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

    def _opened(self, message: dict[str, str]) -> None:
        if message["fs"] == "LocalFileSystem":
            self.files.add(str(Path(message["path"]).absolute()))
        else:
            self.obstacles.add("read a file that is not local")

    def _examine(self, sql: str) -> None:
        if _UNWATCHED.search(sql):
            self.obstacles.add("executed SQL that can read from a network or another database")
        globs = _GLOB.findall(sql) if _READS.search(sql) else []
        if globs and _COMPUTED.search(sql):
            self.obstacles.add("read files whose names are computed in SQL")
        self.globs.update(str(Path(pattern).absolute()) for pattern in globs)

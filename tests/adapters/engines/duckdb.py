"""DuckDB, which all others are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlmesh.core.config import DuckDBConnectionConfig

from .engine import Dialect, Engine


def state_in(folder: Path) -> DuckDBConnectionConfig:
    """The state in a DuckDB file, for engines that SQLMesh does not keep its state in."""
    return DuckDBConnectionConfig(database=str(folder / "state.db"), concurrent_tasks=4)


DIALECT = Dialect("duckdb")


@contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """A DuckDB file, with the state in another."""
    yield Engine(
        dialect=DIALECT,
        connection=DuckDBConnectionConfig(database=str(folder / "wh.db"), concurrent_tasks=4),
        state_connection=state_in(folder),
    )

"""What the scenario needs of an engine, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sqlmesh.core.config import ConnectionConfig


@dataclass(frozen=True)
class Dialect:
    """What the models of a project on the engine are written in."""

    name: str
    """SQLGlot's."""
    integer: str = "BIGINT"
    """The type for integers of 64 bits."""
    timestamp: str = "TIMESTAMP"
    """The type for points in time."""


@dataclass(frozen=True)
class Engine:
    """An engine that runs, empty, as the configuration of a project describes it."""

    dialect: Dialect
    connection: ConnectionConfig
    state_connection: ConnectionConfig | None = None
    """Where SQLMesh keeps its state; None: in the engine itself."""
    left_out: frozenset[str] = frozenset()
    """Models whose kind the engine does not support."""


Start = Callable[[Path], AbstractContextManager[Engine]]
"""Starts an engine, with all of its files in this folder, and ends it."""

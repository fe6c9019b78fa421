"""Everything that one sandbox has open, on all engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .duckdb.connections import DuckDBConnections
from .postgres.connections import PostgresConnections


@dataclass
class Connections:
    """The connections of one sandbox.

    Attributes:
        folder: the folder of the sandbox's files.
        templates: after `keep`, the template of each PostgreSQL database that was used.
    """

    folder: Path
    duckdb: DuckDBConnections
    postgres: PostgresConnections
    templates: Mapping[str, str] = field(default_factory=dict)

    def keep(self) -> None:
        """Close all, and keep the databases, so that they can be copied."""
        self.duckdb.close(checkpoint=True)
        self.templates = self.postgres.make_templates()

    def close(self) -> None:
        """Close all; nothing of the databases is needed any more."""
        self.duckdb.close()
        self.postgres.close()

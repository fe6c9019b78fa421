"""The places of a project's tables in a sandbox's databases, and what exists there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from .engine import RelationKind, SystemTables


@dataclass(frozen=True)
class TablePlace:
    """The place of a table of a project.

    Attributes:
        adapter: the adapter of the table's database.
        existing: the kind of the relation that already has the table's name, if any.
    """

    adapter: Any
    table: exp.Table
    existing: RelationKind | None

    def drop_existing(self) -> None:
        """Drop the relation that has the table's name, if any."""
        if self.existing:
            name = self.table.sql(dialect=self.adapter.system.dialect)
            self.adapter.execute(f"DROP {self.existing.value} {name}")


class TablePlaces:
    """The places of tables in the databases of a project's gateways, read once when it is made."""

    def __init__(self, adapters: Mapping[str, Any]) -> None:
        """Read the existing relations; the adapters are keyed by gateway."""
        self._adapters = adapters
        self._existing = {name: _by_catalog(adapter) for name, adapter in adapters.items()}

    def place(self, gateway: str, table: exp.Table) -> TablePlace | None:
        """The place of a table; None if its catalog is not attached."""
        adapter = self._adapters[gateway]
        folded = adapter.system.folded
        relations = self._existing[gateway].get(folded(table.catalog or adapter.default_catalog))
        if relations is None:
            return None
        return TablePlace(adapter, table, relations.get((folded(table.db), folded(table.name))))


def _by_catalog(adapter: Any) -> dict[str, dict[tuple[str, str], RelationKind]]:
    """Catalog → (schema, name) → kind of relation; names are folded."""
    system: SystemTables = adapter.system
    catalogs: dict[str, dict[tuple[str, str], RelationKind]] = {
        system.folded(name): {} for name in system.catalogs(adapter)
    }
    for relation in system.relations(adapter):
        place = system.folded(relation.schema), system.folded(relation.name)
        catalogs[system.folded(relation.catalog)][place] = relation.kind
    return catalogs


def shown_name(table: exp.Table, default_catalog: str | None) -> str:
    """A table's name as users write it, without the default catalog."""
    parts = table.parts[1:] if table.catalog and table.catalog == default_catalog else table.parts
    return ".".join(part.name for part in parts)

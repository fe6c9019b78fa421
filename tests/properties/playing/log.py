"""What the player notes down of a history: what was ever loaded, by what SQLMesh's state showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .spans import merged
from .state import State
from .witnesses import Span, Witness, table_of

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

Table = tuple[str, str]
"""A model by its fully qualified name, and one of its tables, as `table_of` has it."""


@dataclass(frozen=True)
class Log:
    """What was known before an invocation."""

    recorded: Mapping[Table, list[Span]] = field(default_factory=dict)
    """What SQLMesh had as loaded at the end of any earlier invocation."""
    evaluated: Mapping[Table, list[Span]] = field(default_factory=dict)
    """What was evaluated in an earlier one, and recorded: without what SQLMesh only books."""

    def after(self, witness: Witness, states: Iterable[State]) -> Log:
        """The log, with what an invocation added to it."""
        recorded, evaluated = dict(self.recorded), dict(self.evaluated)
        for state in states:
            for fqn, tables in state.intervals.items():
                for table, spans in tables.items():
                    key = (fqn, table)
                    recorded[key] = merged([*recorded.get(key, []), *spans])
        for batch in witness.batches:
            if batch.recorded and batch.evaluated and batch.span and batch.tables:
                key = (batch.fqn, batch.tables[1])
                evaluated[key] = merged([*evaluated.get(key, []), batch.span])
        return Log(recorded, evaluated)


def tables(snapshot: Snapshot, environment: str) -> set[str]:
    """Which tables of a version an environment may use."""
    shared = table_of(snapshot, dev=False)
    return {shared} if environment == "prod" else {shared, table_of(snapshot, dev=True)}

"""Plays many histories of one project, and each step only once after the same steps or their like.

Two sandboxes are in the same state if SQLMesh has the same intervals and versions on record, all
tables have the same rows, and their clocks were last set to the same time: a later step can't be
played before that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pytest_sqlmesh_tracker.sandbox.databases.engine import RelationKind, qualified
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox

from .replaying import play
from .steps import Change, Step

_KEPT = 24
"""The most sandboxes that are kept open. Others are played again when they are needed."""


@dataclass(frozen=True)
class State:
    """What a sandbox is like after some steps.

    Attributes:
        digest: of everything on which the next step depends, except for the time.
        latest: the time to which the clock was last set, in UTC.
        files: the files that were changed: path → text.
    """

    digest: str
    latest: datetime
    files: frozenset[tuple[str, str]] = frozenset()


class Player:
    """Plays histories that all begin with the same sandbox."""

    def __init__(self, start: Sandbox, begin: datetime) -> None:
        """Begin with a sandbox, of which only copies are changed.

        Args:
            begin: the time at which histories begin, in UTC.
        """
        self._begin = begin
        self.start = State(_digest(start), begin)
        self._first = start
        self._open: OrderedDict[State, Sandbox] = OrderedDict()
        self._origins: dict[State, tuple[State, Step]] = {}
        self._next: dict[tuple[State, Step], State] = {}
        self.played = 0
        """How many steps were played."""

    def after(self, steps: Sequence[Step]) -> State:
        """The state after these steps."""
        __tracebackhide__ = True
        state = self.start
        for step in steps:
            following = self._next.get((state, step))
            if following is None:
                following = self._played(state, step)
                self._next[state, step] = following
                self._origins.setdefault(following, (state, step))
            state = following
        return state

    def sandbox(self, state: State) -> Sandbox:
        """A copy of a sandbox in this state, which the caller closes."""
        __tracebackhide__ = True
        if state == self.start:
            return self._first.copy()
        if state not in self._open:
            before, step = self._origins[state]
            self._played(before, step, state)
        self._open.move_to_end(state)
        return self._open[state].copy()

    def close(self) -> None:
        """Close all copies."""
        while self._open:
            self._open.popitem()[1].close(warn=False)

    def _played(self, before: State, step: Step, known: State | None = None) -> State:
        """Play a step after a state, and keep the sandbox for steps that follow."""
        __tracebackhide__ = True
        sandbox = self.sandbox(before)
        try:
            play(sandbox, step, self._begin)
            after = known or State(_digest(sandbox), sandbox.last_set, _files_after(before, step))
        except BaseException:
            sandbox.close(warn=False)
            raise
        self.played += 1
        if after == self.start or after in self._open:
            sandbox.close(warn=False)
            return after
        self._open[after] = sandbox
        while len(self._open) > _KEPT:
            self._open.popitem(last=False)[1].close(warn=False)
        return after


def _files_after(state: State, step: Step) -> frozenset[tuple[str, str]]:
    if not isinstance(step, Change):
        return state.files
    return frozenset({**dict(state.files), step.path: step.text}.items())


def _digest(project: Sandbox) -> str:
    """What the next step depends on: SQLMesh's state, and the rows of all tables."""
    context: Any = project.context
    with context.surroundings.in_use(), context.connections.postgres.used():
        environment = context.state_reader.get_environment(project.environment)
        parts: list[object] = [environment and environment.finalized_ts is None]
        if environment is not None:
            loaded = context.state_reader.get_snapshots(environment.snapshots).values()
            parts += sorted(
                (each.name, each.version, each.fingerprint.to_identifier(), *_intervals(each))
                for each in loaded
            )
        for gateway, adapter in sorted(context.used_adapters.items()):
            parts.append(_contents(adapter, context.config.get_state_schema(gateway)))
    return sha256(repr(parts).encode()).hexdigest()


def _intervals(snapshot: Any) -> tuple[object, ...]:
    return (
        tuple(snapshot.intervals),
        tuple(snapshot.dev_intervals),
        tuple(snapshot.pending_restatement_intervals),
        getattr(snapshot, "next_auto_restatement_ts", None),
    )


def _contents(adapter: Any, state_schema: str | None) -> list[tuple[Any, ...]]:
    """Each table with the number of its rows and a digest of them."""
    tables = sorted(
        qualified(each.catalog, each.schema, each.name)
        for each in adapter.system.relations(adapter)
        if each.kind is RelationKind.TABLE and each.schema != state_schema
    )
    digests = [
        f"SELECT {position}, digests.* FROM ({adapter.rows.digest(f'SELECT * FROM {table}')})"
        " AS digests"
        for position, table in enumerate(tables)
    ]
    rows = adapter.execute_users(" UNION ALL ".join(digests)) if digests else []
    return [(tables[position], *digest) for position, *digest in sorted(rows)]

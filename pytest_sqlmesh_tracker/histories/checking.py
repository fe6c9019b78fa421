"""Compares a project after any history with one load of everything at the history's end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox

from .comparing import ComparedModels, IncomparableError, RowsDigest
from .playing import Player, State
from .replaying import settle
from .steps import History


class MakeSandbox(Protocol):
    """Makes sandboxes of the project that is checked."""

    def __call__(self, *, at: datetime | None = None, plan: bool = True) -> Sandbox:
        """Make a sandbox; `at` is None for the beginning of histories."""


@dataclass(frozen=True)
class Ended:
    """A project at the end of a history, or after one load of everything.

    Attributes:
        rows: the digest of each compared model's rows.
        errors: the models that the last run could not load → the error.
    """

    rows: dict[str, RowsDigest]
    errors: dict[str, str]

    @classmethod
    def of(cls, project: Sandbox, last_run: RunReport, models: ComparedModels) -> Ended:
        """The project in a sandbox after its last run."""
        failed = [each for each in last_run.outcomes.values() if each.status is Status.FAILED]
        return cls(models.digests(project), {each.name: each.error or "" for each in failed})

    def differs(self, other: Ended, model: str) -> bool:
        """Whether a model has other rows, or fails while it does not fail in the other project."""
        if model not in self.rows or model not in other.rows:
            return False
        fails = model in self.errors and model not in other.errors
        return fails or self.rows[model] != other.rows[model]


@dataclass(frozen=True)
class Load:
    """One load of everything, in a sandbox of its own."""

    project: Sandbox
    ended: Ended


class Checker:
    """Plays histories of one length, and compares how they end with one load of everything."""

    def __init__(
        self, make: MakeSandbox, first: Sandbox, models: ComparedModels, days: int
    ) -> None:
        """Prepare to play histories.

        Args:
            first: the project at the beginning of histories.
            days: the length of the histories.
        """
        self._make = make
        self._sandboxes = ExitStack()
        self.models = models
        self.begin = first.last_set
        self.end = self.begin + timedelta(days=days)
        self._player = Player(first, self.begin)
        self._loads: dict[frozenset[tuple[str, str]], Load] = {}
        # What is loaded at the end does not depend on the time of the last step.
        self._ended: dict[State, Ended] = {}
        self.played = 0
        """How many histories were compared."""

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        self._player.close()
        self._sandboxes.close()

    def differing(self, history: History) -> list[str]:
        """The models whose rows differ after a history, in the order of evaluation."""
        __tracebackhide__ = True
        ended, load = self.ended(history), self.load(history)
        self.played += 1
        return [name for name in self.models.names if ended.differs(load.ended, name)]

    def ended(self, history: History) -> Ended:
        """The project at the end of a history."""
        __tracebackhide__ = True
        state = replace(self._player.after(history.steps), latest=self.end)
        if state not in self._ended:
            with self.at_the_end_of(history) as (project, last_run):
                ended = Ended.of(project, last_run, self.models)
                self._confirm(project, ended, self.load(history))
                self._ended[state] = ended
        return self._ended[state]

    def _confirm(self, project: Sandbox, ended: Ended, load: Load) -> None:
        """Equate digests of rows that are equal, though written differently, such as JSON."""
        for name, digest in load.ended.rows.items():
            if ended.rows.get(name, digest) != digest and self.same_rows(project, name, load):
                ended.rows[name] = digest

    def same_rows(self, project: Sandbox, model: str, load: Load) -> bool:
        """Whether a model has the rows of a load, also if they are written differently."""
        with suppress(IncomparableError):
            return self.models.difference(project, model, load.project) is None
        return False

    def most_rows(self, model: str) -> int:
        """The most rows that a model had after any of the histories, or after one load."""
        ended = [*self._ended.values(), *(load.ended for load in self._loads.values())]
        return max((each.rows[model].count for each in ended if model in each.rows), default=0)

    @contextmanager
    def at_the_end_of(self, history: History) -> Iterator[tuple[Sandbox, RunReport]]:
        """A sandbox at the end of a history, until the `with` block ends, and its last run."""
        __tracebackhide__ = True
        project = self._player.sandbox(self._player.after(history.steps))
        try:
            yield project, settle(project, self.end)
        finally:
            project.close(warn=False)

    def load(self, history: History) -> Load:
        """One load of everything at the end, with the files that the history ends with."""
        __tracebackhide__ = True
        files = self._player.after(history.steps).files
        if files not in self._loads:
            project = self._loaded(files)
            self._sandboxes.callback(project.close, warn=False)
            ended = Ended.of(project, settle(project, self.end), self.models)
            self._loads[files] = Load(project, ended)
        return self._loads[files]

    @contextmanager
    def loaded_again(self, history: History) -> Iterator[Sandbox]:
        """A second load, until the `with` block ends. It shows whether loads are deterministic."""
        __tracebackhide__ = True
        project = self._loaded(self._player.after(history.steps).files, anew=True)
        try:
            settle(project, self.end)
            yield project
        finally:
            project.close(warn=False)

    def _loaded(self, files: frozenset[tuple[str, str]], *, anew: bool = False) -> Sandbox:
        if not (files or anew):
            return self._make(at=self.end)
        project = self._make(at=self.end, plan=False)
        for path, text in sorted(files):
            project.write(path, text)
        project.plan()
        return project

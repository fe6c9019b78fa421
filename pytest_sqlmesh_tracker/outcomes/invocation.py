"""What is known about an invocation as a whole, as data. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from pydantic import JsonValue

from .outcome import Outcome
from .types import Frozen

Command = Literal["run", "plan", "audit"]
Completion = Literal["success", "nothing_to_do", "failure", "interrupted", "raised"]
SUCCESSFUL: frozenset[Completion] = frozenset({"success", "nothing_to_do"})


class EnvironmentState(Frozen):
    """An environment that could not be run, or that a plan left unfinished, as the state has it."""

    unfinished_plan: str | None
    """The id of the plan that is updating the environment, or that failed or was stopped before it
    finished; None if the environment does not exist."""
    environments: tuple[str, ...] = ()
    """The names of the environments that exist."""


class Invocation(Protocol):
    """The facts from which an invocation is put into words. `RunReport` implements it."""

    @property
    def command(self) -> Command:
        """The command that was called."""

    @property
    def environment(self) -> str:
        """The name of the environment."""

    @property
    def arguments(self) -> Mapping[str, JsonValue]:
        """The arguments of the call, by parameter name."""

    @property
    def execution_time(self) -> datetime:
        """The "now" of the invocation, in UTC."""

    @property
    def started_at(self) -> datetime:
        """When the call began, in UTC."""

    @property
    def finished_at(self) -> datetime:
        """When the call returned or raised an exception, in UTC."""

    @property
    def completion(self) -> Completion:
        """How it ended."""

    @property
    def error(self) -> str | None:
        """Type and message of the exception that the call raised."""

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Name → outcome, in topological order."""

    @property
    def counted(self) -> tuple[Outcome, ...]:
        """The outcomes that sets, totals and tables count."""

    @property
    def removed(self) -> tuple[str, ...]:
        """Models that the plan removes from the environment."""

    @property
    def environment_state(self) -> EnvironmentState | None:
        """The state of an environment that is missing or has an unfinished plan; otherwise None."""

    @property
    def project_files(self) -> Literal["read", "not_read"] | None:
        """Whether the project's files were read."""

    @property
    def project_files_note(self) -> str | None:
        """Why they were not read."""

    @property
    def superseded(self) -> bool:
        """Whether the invocation belongs to a try of a test that was repeated."""

"""What is known of an invocation as a whole, as data. Knows no SQLMesh."""

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
    """Id of the plan that updates it, or that failed or was stopped before it was done; None where
    the environment does not exist."""
    environments: tuple[str, ...] = ()
    """Names of the environments that exist."""


class Invocation(Protocol):
    """What the words for an invocation are made from. A `RunReport` is one."""

    @property
    def command(self) -> Command:
        """What was called."""

    @property
    def environment(self) -> str:
        """The name of the environment."""

    @property
    def arguments(self) -> Mapping[str, JsonValue]:
        """What the caller passed, by parameter name."""

    @property
    def execution_time(self) -> datetime:
        """The "now" of the invocation, in UTC."""

    @property
    def started_at(self) -> datetime:
        """In UTC."""

    @property
    def finished_at(self) -> datetime:
        """In UTC."""

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
        """What the state has of an environment that is missing or has an unfinished plan."""

    @property
    def project_files(self) -> Literal["read", "not_read"] | None:
        """Whether the files of the project were read."""

    @property
    def project_files_note(self) -> str | None:
        """Why they were not read."""

    @property
    def superseded(self) -> bool:
        """Whether it belongs to a try of a test that was repeated."""

"""How models fared over the invocations of a history, as data. All times are in UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pytest_sqlmesh_tracker.history.pending import Source
from pytest_sqlmesh_tracker.models.index import ModelIndex, UnknownModelError
from pytest_sqlmesh_tracker.outcomes.types import Frozen, Seconds, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome

SCHEMA_VERSION = 1
_FACTOR = 1.5
_AT_LEAST = timedelta(seconds=1)


def much_longer(duration: timedelta, other: timedelta) -> bool:
    """Whether a duration is at least half as long again as another one, and a second longer."""
    return duration >= max(other * _FACTOR, other + _AT_LEAST)


class DurationChange(Frozen):
    """Since when a model takes much longer than before, or much less long."""

    since: UtcDatetime
    """When the first invocation began in which it did."""
    before: Seconds
    """The median of the executions before."""
    after: Seconds
    """The median of the executions since then."""

    @property
    def slower(self) -> bool:
        """Whether the model takes longer than before."""
        return self.after > self.before


class Durations(Frozen):
    """How long a model takes: of executions that evaluated as much time as most did."""

    last: Seconds
    """The duration of the last execution, however much time it evaluated."""
    median: Seconds
    """The median of the last executions, at most 60: since the change if there is one."""
    executions: int
    """How many executions the median is that of."""
    change: DurationChange | None = None
    """Since when it takes much longer or less long; None if it takes about as long as before."""
    is_slowest: bool = False
    """Whether the last execution took much longer than the median, and longer than all others."""


class ModelTrend(Frozen):
    """How one model of an environment fared over the invocations of a history."""

    environment: str
    """The environment of the invocations."""
    last: ModelOutcome
    """The outcome of the last invocation that the model was part of."""
    last_seen: UtcDatetime
    """When that invocation began."""
    is_current: bool
    """False if the last invocation of the environment that reached any models does not have it."""
    invocations: int
    """How many invocations the model was part of."""
    executed: int
    """In how many of them it was executed."""
    failed: int
    """In how many of them it failed."""
    last_executed: UtcDatetime | None
    """When the last invocation began in which it was executed; None if it never was."""
    last_cause: Cause | None
    """The primary cause of that execution."""
    failing_since: UtcDatetime | None
    """When the first invocation began in which it failed since it was last executed, or lacked no
    interval; None if it has not failed since."""
    failures: int
    """In how many invocations it has failed since then."""
    waits: int
    """In how many invocations in a row, up to the last one, something other than its cron held
    intervals of it back."""
    durations: Durations | None
    """How long it takes; None if no duration is known."""

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.last.name

    @property
    def fqn(self) -> str:
        """The fully qualified name."""
        return self.last.fqn

    @property
    def kind(self) -> str:
        """SQLMesh's kind, in lower case."""
        return self.last.kind

    def to_dict(self) -> dict[str, Any]:
        """The trend as plain data; of its last outcome, what changes over time."""
        data = self.model_dump(mode="json", exclude={"last"})
        last = self.last.model_dump(
            mode="json",
            include={"status", "reason", "message", "error", "loaded_through", "waiting_since"},
        )
        return {"name": self.name, "fqn": self.fqn, "kind": self.kind, **data, **last}


class EnvironmentTrend(Frozen):
    """The invocations of one environment, and how its models fared."""

    environment: str
    """The environment."""
    invocations: int
    """How many invocations there are."""
    first: UtcDatetime
    """When the first one began."""
    last: UtcDatetime
    """When the last one began."""
    models: tuple[ModelTrend, ...]
    """The models, those of the last invocation first, in topological order."""

    @property
    def current(self) -> tuple[ModelTrend, ...]:
        """The models that the last invocation has and that can be evaluated or audited."""
        return tuple(each for each in self.models if each.is_current and each.last.is_counted)


class Trends(Frozen):
    """How the models of a history fared."""

    environments: tuple[EnvironmentTrend, ...]
    """The environments, the one with the latest invocation first."""
    tests_left_out: int
    """How many invocations of tests were left out. They are included if there are no others."""

    def matching(self, model: str) -> list[ModelTrend]:
        """The trends of the models that a name or a glob matches, environment by environment.

        A model can have another fully qualified name in each environment, which then matches there
        alone.

        Raises:
            UnknownModelError: nothing matches, or several models of one environment have the name;
                the message has close matches.
        """
        __tracebackhide__ = True
        matches = []
        for environment in self.environments:
            index = ModelIndex(environment.models, f"the history of {environment.environment}")
            if index.candidates(model):
                matches += index.matching(model)
        if not matches:
            distinct = {
                each.name: each for environment in self.environments for each in environment.models
            }
            raise UnknownModelError(ModelIndex(distinct.values(), "the history").complaint(model))
        return matches

    def restricted(self, models: Iterable[ModelTrend]) -> Trends:
        """Only these models, and the environments that have any of them."""
        kept = {(each.environment, each.name) for each in models}
        environments = []
        for each in self.environments:
            chosen = tuple(m for m in each.models if (m.environment, m.name) in kept)
            if chosen:
                environments.append(each.model_copy(update={"models": chosen}))
        return self.model_copy(update={"environments": tuple(environments)})

    def to_dict(self) -> dict[str, Any]:
        """The trends as plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tests_left_out": self.tests_left_out,
            "environments": [
                {
                    **each.model_dump(mode="json", exclude={"models"}),
                    "models": [trend.to_dict() for trend in each.models],
                }
                for each in self.environments
            ],
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """The trends as JSON."""
        return json.dumps(self.to_dict(), indent=indent)


class TimelineEntry(Frozen):
    """What happened to a model in one invocation."""

    started_at: UtcDatetime
    """When the invocation began."""
    command: str
    """The command: `run` or `plan`, or what else was tracked."""
    source: Source
    """Who appended the report."""
    test: str | None
    """The node id of the test that made the invocation."""
    outcome: ModelOutcome
    """What happened."""


class Timeline(Frozen):
    """One model of an environment, invocation by invocation."""

    trend: ModelTrend
    """How it fared in all."""
    entries: tuple[TimelineEntry, ...]
    """The invocations, the last one first."""

    def to_dict(self) -> dict[str, Any]:
        """The timeline as plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            **self.trend.to_dict(),
            "timeline": [entry.model_dump(mode="json") for entry in self.entries],
        }

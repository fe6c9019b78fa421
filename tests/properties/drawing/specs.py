"""Drawn values: plain, with a repr that shows how to rebuild the example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

ONLY_AUDITED = frozenset({"external", "embedded", "audit"})
"""Kinds of which SQLMesh has audits to run, but nothing to evaluate."""

UNDETERMINED = ("0 8-18 * * *", "*/5 9 * * *", "0 0 1-10 * *")
"""Crons of which SQLMesh measures the next five gaps by the wall clock, when a process first uses
them: if those are equal, it takes them for all (sqlmesh/utils/cron.py, `interval_seconds`)."""


class Brief:
    """A repr that leaves out what has its default."""

    def __repr__(self) -> str:
        arguments = [
            f"{each.name}={value!r}"
            for each in fields(self)  # type: ignore[arg-type]
            if (value := getattr(self, each.name)) != each.default
            and not (value == () or value == {})
        ]
        return f"{type(self).__name__}({', '.join(arguments)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002
        """The same for Hypothesis, which would show every field."""
        printer.text(repr(self))


@dataclass(frozen=True, repr=False)
class Model(Brief):
    """One model of a project, or a standalone audit."""

    name: str
    kind: str
    parents: tuple[str, ...] = ()
    cron: str = "@daily"
    start: str | None = None
    end: str | None = None
    batch_size: int | None = None
    batch_concurrency: int | None = None
    lookback: int | None = None
    allow_partials: bool = False
    gated: bool = False
    """It has a signal, which the switches hold back."""
    audits: tuple[str, ...] = ()
    """Of `hard` (blocking) and `soft` (not blocking)."""
    sourced: bool = False
    """It reads a raw table that can be missing, so that even its own table can't be created."""
    forward_only: bool = False
    disable_restatement: bool = False
    auto_restatement: str | None = None
    twice: bool = False
    """Its audits are called once more, with another argument."""
    # What edits change.
    version: int = 1
    extra: int = 0
    owner: str | None = None

    @property
    def only_audited(self) -> bool:
        return self.kind in ONLY_AUDITED

    @property
    def undetermined(self) -> bool:
        """When its cron lets it run depends on when a process first used that cron."""
        return self.cron in UNDETERMINED

    @property
    def relative(self) -> bool:
        """Its start or its end is counted from now."""
        return any(text is not None and "ago" in text for text in (self.start, self.end))

    @property
    def audit_calls(self) -> list[tuple[str, str]]:
        """Each audit, and the value of its argument."""
        values = (self.name, self.again) if self.twice else (self.name,)
        return [(audit, value) for value in values for audit in self.audits]

    @property
    def again(self) -> str:
        """What its audits are called with the second time; they fail by themselves then."""
        return f"{self.name}.again"

    @property
    def evaluatable(self) -> bool:
        return not self.only_audited or bool(self.audits) or self.kind == "audit"


@dataclass(frozen=True, repr=False)
class Edit(Brief):
    """A change of the project: the model as it is from now on, or its name if it is removed."""

    what: str
    model: Model
    removed: bool = False


@dataclass(frozen=True, repr=False)
class Injected(Brief):
    """A fault of the sandbox: an error of a model's batches, or an audit that finds rows."""

    model: str
    audit: str | None = None
    batch: int | None = None
    times: int | None = None


@dataclass(frozen=True, repr=False)
class Step(Brief):
    """One invocation, and what happens before it."""

    wait: timedelta
    command: str
    """`run`, `plan`, `apply` (a plan that was built before) or `audit`."""
    environment: str = "prod"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    """Faults as pairs of what and model: broken, gone, hard, soft, none, first, rest, raise, …

    All are in the database, except for held, which is up to the sandbox.
    """
    injected: tuple[Injected, ...] = ()
    checks: tuple[str, ...] = ()
    """Counterfactuals to be tried after it."""
    read: str = "at once"
    """When its report is read: `at once`, `late` (after the whole history) or `twice` (one report
    at once and one late, of the same recording)."""
    clock: str = "as it is"
    """Where the clock stands when it is read late: `as it is`, `weeks later` or `weeks before`."""

    def switched(self, *kinds: str) -> set[str]:
        """Models for which one of these faults is on."""
        return {model for kind, model in self.switches if kind in kinds}

    @property
    def waiting(self) -> set[str]:
        """Models that wait for a signal: for their own, or because the sandbox holds them."""
        return self.switched("none", "first", "rest", "held")

    @property
    def applied(self) -> bool:
        """A plan that is to be applied."""
        return bool(self.arguments.get("auto_apply", True)) and not self.arguments.get("explain")


@dataclass(frozen=True, repr=False)
class History(Brief):
    """A project and its invocations, beginning with a plan."""

    models: tuple[Model, ...]
    began: datetime
    steps: tuple[Step, ...]
    concurrent_tasks: int = 1
    before_all: bool = False
    """The project has a `before_all` statement, which a switch makes fail."""
    afterwards: tuple[str, ...] = ()
    """What happens after its last step, before reports are read late: `edited` (the project's files
    are other ones), `closed` (the context is closed, the project deleted), `variables` (environment
    variables are other ones), `crons` (SQLMesh forgets what it once measured of their ticks)."""

    @property
    def models_at_end(self) -> tuple[Model, ...]:
        """The project after all edits."""
        models = self.models
        for step in self.steps:
            models = edited(models, step.edits)
        return models

    @property
    def plans_dev(self) -> bool:
        """Whether a plan of dev is applied."""
        plans = (step for step in self.steps if step.command in ("plan", "apply"))
        return any(step.applied and step.environment == "dev" for step in plans)

    @property
    def ended(self) -> datetime:
        """When its last step is taken."""
        return self.began + sum((step.wait for step in self.steps), timedelta())

    def __str__(self) -> str:
        lines = [f"began {self.began:%Y-%m-%d %H:%M}, {self.concurrent_tasks} concurrent task(s)"]
        lines += ["with a before_all statement"] if self.before_all else []
        lines += [f"  {model!r}" for model in self.models]
        now = self.began
        for number, step in enumerate(self.steps):
            now += step.wait
            lines.append(f"step {number} at {now:%Y-%m-%d %H:%M}: {step!r}")
        return "\n".join(lines)


def edited(models: tuple[Model, ...], edits: tuple[Edit, ...]) -> tuple[Model, ...]:
    """The project after the edits; new models come last."""
    current = {model.name: model for model in models}
    for edit in edits:
        current.pop(edit.model.name, None) if edit.removed else current.update(
            {edit.model.name: edit.model}
        )
    return tuple(current.values())

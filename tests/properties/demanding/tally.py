"""Counts what was demanded, of how many histories, and what they had in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import RunReport
    from tests.properties.drawing.specs import History


@dataclass
class Tally:
    """What the examples of one process amount to."""

    examples: int = 0
    demands: Counter[str] = field(default_factory=Counter)
    """Rule → how often it was checked."""
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    """Cause → how many models had it."""
    draws: Counter[str] = field(default_factory=Counter)
    """What is special of a history, and drawn only in a share of them."""
    completions: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    dagster: Counter[str] = field(default_factory=Counter)
    """What was played through Dagster, and what came of it."""

    def note(self, report: RunReport) -> None:
        self.completions[f"{report.command} {report.completion}"] += 1
        for outcome in report.outcomes.values():
            self.statuses[str(outcome.status)] += 1
            self.reasons.update(str(reason) for reason in outcome.reasons)
            self.causes.update(str(cause) for cause in outcome.causes)
            self.draws["models with upstream_behind"] += bool(outcome.upstream_behind)
            self.draws["models with waiting_since"] += bool(outcome.waiting_since)

    def note_history(self, history: History) -> None:
        """Count what is special of a history."""
        for step in history.steps:
            if step.read != "at once":
                self.draws[f"reports read {step.read}, {step.clock}"] += 1
            for key, value in step.arguments.items():
                self.draws["relative start or end of a call"] += "ago" in str(value)
                self.draws[f"plans or runs with {key}"] += 1
            if "restate_models" in step.arguments:
                windowed = bool({"start", "end"} & step.arguments.keys())
                self.draws["restatements with a window"] += windowed
                self.draws["restatements not applied"] += not step.applied
        self.draws.update(f"afterwards {what}" for what in history.afterwards)
        edited = (edit.model for step in history.steps for edit in step.edits)
        for model in (*history.models, *edited):
            self.draws["models with a relative start or end"] += model.relative
            self.draws["models with an irregular cron"] += model.undetermined

    def counts(self) -> dict[str, dict[str, int]]:
        """What was counted → how often each was."""
        counters = {name: value for name, value in vars(self).items() if isinstance(value, Counter)}
        return {name: dict(sorted(counter.items())) for name, counter in counters.items()}


TALLY = Tally()


class Violation(NamedTuple):
    """Something that is not true."""

    rule: str
    sentence: str


@dataclass
class Ledger:
    """The demands on one example; all violations are raised at once."""

    violations: list[Violation] = field(default_factory=list)
    where: str = ""

    def demand(self, met: object, rule: str, sentence: str) -> bool:
        """Count a statement that was checked, and keep the sentence if it is wrong."""
        TALLY.demands[rule] += 1
        if not met:
            self.violations.append(Violation(rule, f"{self.where}: {sentence}"))
        return bool(met)

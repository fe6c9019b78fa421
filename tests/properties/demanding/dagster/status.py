"""The status check of each model: evaluated once, true, and failed as long as data is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import dagster as dg

from tests.projects import without
from tests.properties.playing.spans import merged, moment
from tests.properties.playing.state import missing, shown

from .tries import STATUS_CHECK, Try, fqn_of, plain

if TYPE_CHECKING:
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.witnesses import Span

UNEXPECTED = {
    *("upstream_failed", "signal_not_ready", "upstream_not_ready", "depends_on_past_gap"),
    *("not_in_environment", "not_applied", "backfill_emptied", "restatement_refused"),
}
"""Why a model may not be skipped without its check failing."""
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass
class Failing:
    """A check that failed: of what was to be loaded then, something may be missing still."""

    severity: dg.AssetCheckSeverity
    at: datetime
    lost: list[Span]
    """What SQLMesh set out to load, and did not."""
    ignored_cron: bool = False
    """It was to load what cron did not let a run load yet."""


@dataclass
class Memory:
    """What earlier Dagster runs of one environment have reported."""

    failing: dict[str, Failing] = field(default_factory=dict)
    """By fully qualified name."""
    versions: set[tuple[str, str]] = field(default_factory=set)
    """Keys and the data versions that they have had."""


@dataclass
class Statuses:
    """The status checks of one try."""

    tried: Try
    memory: Memory
    ledger: Ledger
    executed_before: frozenset[str]
    """In an earlier try of the same Dagster run."""

    def check(self) -> None:
        models = self.tried.part.selected & self.tried.run.assets.keys
        for key in sorted(models):
            if dg.AssetCheckKey(key, STATUS_CHECK) in self.tried.part.checks:
                self._check(key)
        # A run of what is due may come to more, and what it says of that stands as well.
        for key in sorted(self.tried.run.assets.keys - models):
            for evaluation in self.tried.evaluations.get(dg.AssetCheckKey(key, STATUS_CHECK), []):
                if evaluation.passed:
                    self.memory.failing.pop(fqn_of(key), None)
                else:
                    self._remember(fqn_of(key), evaluation.severity)

    def _check(self, key: dg.AssetKey) -> None:
        fqn, name = fqn_of(key), key.to_user_string()
        evaluations = self.tried.evaluations.get(dg.AssetCheckKey(key, STATUS_CHECK), [])
        materialized = any(event.asset_key == key for event in self.tried.materializations)
        expected = self.tried.statuses(fqn)
        if fqn in self.executed_before and not materialized and "failed" not in expected:
            statuses = [plain(each.metadata).get("sqlmesh/status") for each in evaluations]
            self.ledger.demand(
                not any(each.passed for each in evaluations),
                "dagster-status-again",
                f"{name} executed in an earlier try, and is reported as {statuses} in a later one",
            )
            if not evaluations:
                return
        # What was executed can fail later on: its view can't be promoted.
        corrected = materialized and len(evaluations) == 2 and not evaluations[-1].passed
        descriptions = [each.description for each in evaluations]
        if self.ledger.demand(
            len(evaluations) == 1 or corrected,
            "dagster-status-once",
            f"{name} is reported as {descriptions}",
        ):
            self._check_verdict(fqn, evaluations[-1], expected)

    def _check_verdict(self, fqn: str, evaluation: Any, expected: set[str]) -> None:
        facts = plain(evaluation.metadata)
        status, reason = facts.get("sqlmesh/status"), facts.get("sqlmesh/reason")
        claim = f"{shown(fqn)} is reported as {status} ({evaluation.description})"
        self.ledger.demand(
            status in expected,
            f"dagster-status-{status}",
            f"{claim}; the witnesses leave {sorted(expected)}",
        )
        skipped = status == "skipped"
        gone = self.tried.is_gone(fqn)
        if gone is not None and not (gone and "interrupted" in expected and status != "skipped"):
            self.ledger.demand(
                (reason == "not_in_environment") == gone,
                "dagster-gone" if gone else "dagster-not-gone",
                f"{claim}, reason {reason}; gone={gone}",
            )
        passed = status in ("executed", "audited") or (skipped and reason not in UNEXPECTED)
        severity = WARN if skipped else ERROR
        lost = self._still_lost(fqn) if passed and status != "executed" else []
        if lost:
            passed, severity = False, self.memory.failing[fqn].severity
        elif passed and status != "executed" and self._cannot_be_mended(fqn):
            passed, severity = evaluation.passed, self.memory.failing[fqn].severity
        self.ledger.demand(
            evaluation.passed == passed and (passed or evaluation.severity is severity),
            "dagster-status-verdict",
            f"{claim}: passed={evaluation.passed}, {evaluation.severity}; expected "
            f"passed={passed}, {severity}; of before is missing {lost}",
        )
        if passed:
            self.memory.failing.pop(fqn, None)
        else:
            self._remember(fqn, severity)

    def _remember(self, fqn: str, severity: dg.AssetCheckSeverity) -> None:
        lost = without(self.tried.witness.scheduled(fqn), self.tried.recorded(fqn))
        at, before = self._at, self.memory.failing.get(fqn)
        if before:
            at, lost = max(at, before.at), [*lost, *before.lost]
        ignored_cron = bool(self.tried.run.step.arguments.get("ignore_cron"))
        ignored_cron = ignored_cron or bool(before and before.ignored_cron)
        self.memory.failing[fqn] = Failing(severity, at, merged(lost), ignored_cron)

    def _still_lost(self, fqn: str) -> list[Span]:
        """What an earlier failure left undone, and SQLMesh finds missing now."""
        failing = self.memory.failing.get(fqn)
        if failing is None:
            return []
        due = self._missing(failing.at, cron=not failing.ignored_cron).get(fqn, [])
        if not failing.lost:
            return due
        until = datetime.fromtimestamp(failing.lost[-1][1] / 1000, timezone.utc)
        still = merged(self._missing(max(until, self._at), cron=False).get(fqn, []))
        return merged([*due, *without(failing.lost, without(failing.lost, still))])

    def _cannot_be_mended(self, fqn: str) -> bool:
        """It failed, and missing intervals can't be computed: there is still no environment."""
        after = self.tried.attempt.after
        return fqn in self.memory.failing and (after is None or after.environment is None)

    def _missing(self, at: datetime, *, cron: bool) -> Mapping[str, list[Span]]:
        after = self.tried.attempt.after
        if after is None or after.environment is None:
            return {}
        environment = self.tried.run.step.environment
        return missing(
            after.environment, environment, execution_time=at, end=at, ignore_cron=not cron
        )

    @property
    def _at(self) -> datetime:
        """The execution time."""
        execution_time = self.tried.run.step.arguments.get("execution_time")
        return (
            moment(execution_time)
            if execution_time
            else self.tried.run.story.now.replace(tzinfo=timezone.utc)
        )

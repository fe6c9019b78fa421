"""One try of a Dagster run: its events, and what the witnesses observed of the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from tests.projects import without
from tests.properties.demanding.statuses import expected_statuses
from tests.properties.playing.dagster.runs import Attempt, DagsterStep
from tests.properties.playing.state import Snapshots, shown
from tests.properties.playing.witnesses import ObservedBatch, Span

STATUS_CHECK = "sqlmesh_execution_status"


class Try:
    """What Dagster has of one try, and what it should have."""

    def __init__(self, part: DagsterStep, attempt: Attempt) -> None:
        self.part, self.run = part, part.run
        self.attempt, self.witness = attempt, attempt.witness
        self.materializations = attempt.of_type(dg.DagsterEventType.ASSET_MATERIALIZATION)
        self.evaluations: dict[dg.AssetCheckKey, list[Any]] = {}
        for event in attempt.of_type(dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            evaluation = event.asset_check_evaluation_data
            self.evaluations.setdefault(evaluation.asset_check_key, []).append(evaluation)

    @cached_property
    def versions(self) -> Snapshots:
        """The models that were at stake."""
        plan = self.witness.plan
        planned = plan.context_diff.snapshots.values() if plan else ()
        return {
            **self.run.deployed,
            **self.run.local,
            **(self.attempt.before.environment or {}),
            **{snapshot.name: snapshot for snapshot in planned},
        }

    @cached_property
    def executed(self) -> frozenset[str]:
        """Tables whose scheduled batches, in any round, were all evaluated and recorded."""
        rounds, batches = self.witness.rounds, self.witness.batches
        ends = [*(each.begins for each in rounds[1:]), len(batches)]
        executed: set[str] = set()
        for each, end in zip(rounds, ends, strict=False):
            observed = batches[each.begins : end]
            done = Counter(batch.fqn for batch in observed if batch.evaluated and batch.recorded)
            executed |= {
                name for name, spans in each.scheduled.items() if 0 < len(spans) == done[name]
            }
        return frozenset(filter(self.is_table, executed))

    def is_table(self, fqn: str) -> bool:
        """SQLMesh executes it, and not its audits alone."""
        return fqn in self.versions and is_table(self.versions[fqn])

    @property
    def is_plain_run(self) -> bool:
        """Dagster's selection says what is run, and nothing else does."""
        own = {"select_models", "no_auto_upstream", "restate_models"}
        return self.run.step.command == "run" and not own & self.run.step.arguments.keys()

    def may_tell(self, check: dg.AssetCheckKey) -> bool:
        """It is selected; or what its asset is of came due when what is due had been selected."""
        late = self.run.request.due and check.asset_key not in self.run.selected
        return check in self.part.checks or bool(late)

    def is_gone(self, fqn: str) -> bool | None:
        """What was run or planned has no such model; None if SQLMesh did not come so far, or if a
        plan of some models leaves it out."""
        plan = self.witness.plan
        if self.attempt.called[0].command == "plan":
            if plan is None:
                return None
            planned = {snapshot.name for snapshot in plan.context_diff.snapshots.values()}
            return None if fqn in self.run.local.keys() - planned else fqn not in planned
        environment = self.attempt.before.environment
        return None if environment is None else fqn not in environment

    def recorded(self, fqn: str) -> list[Span]:
        """What of a model was evaluated and recorded."""
        observed = self.witness.of(fqn)
        return [
            batch.span for batch in observed if batch.recorded and batch.evaluated and batch.span
        ]

    def statuses(self, fqn: str) -> set[str]:
        """Those that what was observed of a model leaves room for."""
        table = self.is_table(fqn)
        outcome: Any = _Outcome(fqn, "full" if table else "embedded")
        invocation = self.part.invocation(self.attempt)
        possible = expected_statuses(invocation, outcome, self.witness.of(fqn))
        if table and possible >= {"executed", "interrupted"}:
            undone = without(self.witness.scheduled(fqn), self.recorded(fqn))
            possible -= {"executed" if undone else "interrupted"}
        return possible

    def with_status(self, status: str) -> list[str]:
        """Names of the models that something happened to and that can only have this status."""
        observed = {*self.witness.creations_failed, *(batch.fqn for batch in self.witness.batches)}
        return sorted(shown(fqn) for fqn in observed if self.statuses(fqn) == {status})

    @property
    def only_audits_failed(self) -> bool:
        """Another try would find the same rows."""
        broken = [batch for batch in self.witness.batches if batch.broke]
        return not self.witness.creations_failed and all(map(_failed_its_audits, broken))

    def describe(self, fqn: str) -> str:
        """What was observed of a model."""
        scheduled = [each.scheduled.get(fqn) for each in self.witness.rounds]
        batches = [(b.span, b.evaluated, b.audited) for b in self.witness.of(fqn)]
        return f"scheduled {scheduled}, done (span, evaluated, audited) {batches}"


@dataclass(frozen=True)
class _Outcome:
    """The part of an outcome that identifies its model."""

    fqn: str
    kind: str


def _failed_its_audits(batch: ObservedBatch) -> bool:
    blocked = any(each.rows and each.blocking and not each.skipped for each in batch.audits)
    return batch.evaluated is not False and blocked


def is_table(snapshot: Any) -> bool:
    return bool(snapshot.is_model and not snapshot.model.kind.is_symbolic)


def key_of(fqn: str) -> dg.AssetKey:
    return dg.AssetKey(shown(fqn).split("."))


def fqn_of(key: dg.AssetKey) -> str:
    return ".".join(f'"{part}"' for part in ("wh", *key.path))


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: getattr(value, "value", value) for key, value in metadata.items()}

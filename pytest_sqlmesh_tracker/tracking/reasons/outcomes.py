"""The outcome of each model of one invocation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.redaction import redacted
from pytest_sqlmesh_tracker.tracking.evaluation.batches import (
    Evaluation,
    Evaluations,
    audits,
)
from pytest_sqlmesh_tracker.tracking.evaluation.behind import UpstreamBehind
from pytest_sqlmesh_tracker.tracking.evaluation.causes import CauseExplainer
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.crons import is_undetermined, safe_cron
from pytest_sqlmesh_tracker.tracking.intervals.loaded import After, Before, execution_time_of
from pytest_sqlmesh_tracker.tracking.project.edits import differs
from pytest_sqlmesh_tracker.tracking.project.names import kind_of
from pytest_sqlmesh_tracker.tracking.project.nodes import (
    audit_names,
    common_folder,
    defining_file,
    is_stub,
)
from pytest_sqlmesh_tracker.wording.invocations import environment_words
from pytest_sqlmesh_tracker.wording.sentences import in_short, sentence

from .audits import AuditExplainer
from .explaining import Explainer, Findings, UndecidedExplainer
from .finding import UnexplainedError
from .models import Models
from .plans import PlanExplainer
from .runs import RunExplainer
from .signals import Unscheduled

logger = logging.getLogger("pytest_sqlmesh_tracker")


@dataclass(frozen=True)
class Present:
    """What is known of an invocation now."""

    after: After
    evaluations: Evaluations


class Outcomes:
    """Makes the outcomes of one invocation. What was loaded before it is computed only once."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._before = Before(recording)
        self.models = Models(recording, self._before)

    def of(self, fqn: str, now: Present) -> ModelOutcome:
        """The outcome of a model; `unknown` if the tracker failed or cannot tell."""
        errors = self._recording.tracker_errors
        message = errors.get(fqn) or errors.get(None)
        try:
            return self._unknown(fqn, message) if message else self._explained(fqn, now)
        except UnexplainedError as error:
            return self._unknown(fqn, str(error))
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed to explain %s", fqn)
            return self._unknown(
                fqn, f"the tracker failed to explain it: {type(error).__name__}: {error}"
            )

    def present(self) -> Present:
        """What is known now."""
        recording = self._recording
        sees_through = compat.sees_through_idle_parents()
        return Present(After(recording, self._before), Evaluations(recording, sees_through))

    @cached_property
    def _findings(self) -> Findings:
        unscheduled = Unscheduled(self._recording)
        return Findings(self._recording, self._explainer(unscheduled), unscheduled)

    def _explainer(self, unscheduled: Unscheduled) -> Explainer:
        recording, models = self._recording, self.models
        if recording.command == "audit":
            return AuditExplainer(recording, models)
        if recording.decision:
            return RunExplainer(recording, recording.decision, self._before.compared, unscheduled)
        if recording.plan:
            compared = self._before.compared
            return PlanExplainer(recording, recording.plan, models, compared, unscheduled)
        return UndecidedExplainer(recording, models)

    @cached_property
    def _cause_explainer(self) -> CauseExplainer:
        return CauseExplainer(self._recording, self._before)

    @cached_property
    def _behind(self) -> UpstreamBehind:
        return UpstreamBehind(self._recording, self._before.stored, self._execution_time)

    @cached_property
    def _execution_time(self) -> datetime:
        return execution_time_of(self._recording)

    def _unknown(self, fqn: str, message: str) -> ModelOutcome:
        note = " ".join((self._readable(message) or "").split())
        outcome = self._outcome(fqn, Status.UNKNOWN, note=note or None)
        return outcome.model_copy(update={"message": sentence(outcome)})

    def _outcome(self, fqn: str, status: Status, **facts: Any) -> ModelOutcome:
        node = self.models.nodes[fqn]
        return ModelOutcome(
            name=self.models.names[fqn],
            fqn=fqn,
            kind=kind_of(node),
            file=self._file(fqn),
            cron=node.cron,
            undetermined_cron=is_undetermined(node.cron),
            safe_cron=safe_cron(node.cron),
            stubbed=is_stub(node),
            upstream=self.models.shown(self.models.parents(fqn)),
            status=status,
            **facts,
        )

    def _explained(self, fqn: str, now: Present) -> ModelOutcome:
        recording, shown, after = self._recording, self.models.shown, now.after
        at = self._execution_time
        evaluated = now.evaluations.of(fqn, self._is_only_audited(fqn))
        batches = evaluated.batches
        finding = self._findings.of(fqn, evaluated, after)
        reasons = finding.ordered_reasons
        causes = self._cause_explainer.of(fqn, batches)
        behind = self._behind.of(fqn, batches)
        durations = [batch.duration for batch in batches if batch.duration is not None]
        ends = [end for round_ in recording.rounds for end in round_.ends_of(fqn)]
        start = recording.starts.get(fqn)
        outcome = self._outcome(
            fqn,
            finding.status,
            reason=reasons[0] if reasons else None,
            reasons=reasons,
            evidence={reason: finding.reasons[reason] for reason in reasons},
            partial=evaluated.partial,
            local_edit=self._is_edited(fqn),
            cause=causes.in_order[0] if causes.in_order else None,
            causes=causes.in_order,
            cause_evidence=causes.evidence,
            intervals_by_cause=causes.intervals,
            restated_by=shown(causes.restated_by),
            changed_by=shown(causes.changed_by),
            change_category=causes.change_category or finding.change_category,
            loaded_through=after.loaded_through(fqn, at),
            waiting_since=None if recording.command == "audit" else after.waiting_since(fqn, at),
            next_due=finding.next_due,
            held_back=finding.held_back,
            upstream_behind={self.models.names.get(name, name): behind[name] for name in behind},
            blocked_by=shown(finding.blocked_by),
            signals=finding.signals,
            error=self._readable(self._error(evaluated, now)),
            failed_step=finding.failed_step,
            batches=batches,
            audits=tuple(self._audits(fqn, evaluated)),
            rows=_sum(batch.rows for batch in batches),
            bytes=_sum(batch.bytes for batch in batches),
            duration=sum(durations, timedelta()) if durations else None,
            started_at=start.at if start else None,
            finished_at=max((end.finished_at for end in ends), default=None),
            start_order=start.order if start else None,
        )
        note = self._note(outcome)
        noted = outcome.model_copy(update={"note": note}) if note else outcome
        return noted.model_copy(update={"message": sentence(noted)})

    def _file(self, fqn: str) -> str | None:
        return defining_file(self._recording.local_nodes.get(fqn), self._folder)

    @cached_property
    def _folder(self) -> str | None:
        return common_folder(self._recording.folders)

    def _is_only_audited(self, fqn: str) -> bool:
        node = self.models.nodes[fqn]
        return not getattr(node, "is_model", False) or node.kind.is_symbolic

    def _is_edited(self, fqn: str) -> bool:
        """Whether the model was edited since it was planned; always False for plans and audits."""
        local, frozen = self._recording.local_nodes.get(fqn), self._before.frozen.get(fqn)
        if self._recording.command != "run" or local is None or frozen is None:
            return False
        return differs(local, frozen.snapshot)

    def _error(self, evaluated: Evaluation, now: Present) -> str | None:
        """The model's first error, and the error that had broken the connection before it."""
        failure = next(iter(evaluated.failures), None)
        if failure is None or failure.error is None or failure.connection != "gone":
            return failure.error if failure else None
        for lost in now.evaluations.connections_lost:
            name, error = self.models.names.get(lost.name, lost.name), lost.error or ""
            return f"{failure.error}, after {name} had failed with {in_short(error)}"
        return failure.error

    def _audits(self, fqn: str, evaluated: Evaluation) -> Iterator[AuditOutcome]:
        results = audits(self._recording, fqn, evaluated.failures)
        names = audit_names(self.models.nodes[fqn]) if results else {}
        for audit in results:
            shown = {
                "name": names.get(audit.name, audit.name),
                "error": self._readable(audit.error),
            }
            yield audit.model_copy(update=shown)

    def _note(self, outcome: ModelOutcome) -> str | None:
        recording = self._recording
        state = recording.environment_state
        if state and outcome.reason in UNREADY_ENVIRONMENT:
            # An outcome has no other field for what is wrong with the environment.
            return environment_words(recording.environment, state)
        if outcome.status is Status.INTERRUPTED and outcome.fqn in recording.under_way:
            return (
                "it was still being evaluated when the invocation was abandoned; "
                "whether the evaluation was recorded is unknown"
            )
        return None

    def _readable(self, text: str | None) -> str | None:
        """The text without passwords and tokens."""
        return None if text is None else redacted(text, self._recording.secrets)


def _sum(figures: Iterable[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None

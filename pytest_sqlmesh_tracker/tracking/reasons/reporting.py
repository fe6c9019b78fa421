"""From a recorded invocation to its report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_datetime

from pytest_sqlmesh_tracker.outcomes.invocation import Completion
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome, Batch
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.redaction import redacted
from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot, Recording
from pytest_sqlmesh_tracker.tracking.project.edits import differs
from pytest_sqlmesh_tracker.tracking.project.names import display_names, kind_of, shown
from pytest_sqlmesh_tracker.tracking.project.nodes import audit_names, is_never_evaluated
from pytest_sqlmesh_tracker.wording.invocations import environment_words
from pytest_sqlmesh_tracker.wording.sentences import in_short, sentence

from . import runs as reasons
from .batches import Evaluation, audits, connections_lost, evaluation
from .behind import UpstreamBehind
from .causes import Causes
from .crons import is_undetermined
from .intervals import Project
from .left_out import LeftOut, loaded_through, next_index, project_afterwards, waiting_since
from .plans import PlanReasons
from .runs import Finding, HeldUp

logger = logging.getLogger("pytest_sqlmesh_tracker")


def report_of(recording: Recording) -> RunReport:
    """The report on what was recorded. Every model is in it, in topological order."""
    return _Reporter(recording).report()


def outcomes_so_far(recording: Recording) -> Callable[[str], ModelOutcome]:
    """What the report would say of one model, at any moment of the round that goes on.

    What is known of the project does not change in a round, and is found once; what is loaded does.
    """
    reporter = _Reporter(recording)

    def outcome(name: str) -> ModelOutcome:
        reporter.forget_what_is_loaded()
        return reporter._outcome(name)

    return outcome


def execution_time_of(recording: Recording) -> datetime:
    """The invocation's "now", in UTC, as far as it is known by then."""
    known = recording.decision or recording.plan
    passed = recording.arguments.get("execution_time")
    at = known.question.execution_time if known else passed or recording.started_at
    try:
        moment: datetime = to_datetime(at, relative_base=recording.started_at)
    except (TypeError, ValueError):
        # SQLMesh refused it as well.
        return recording.started_at
    return moment


class _Reporter:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._sees_through = compat.sees_through_idle_parents()
        self._held_up = HeldUp(recording)

    @cached_property
    def _frozen(self) -> Mapping[str, FrozenSnapshot]:
        """The models of the environment that was run, or of the plan; empty if it never came so
        far."""
        recording = self._recording
        if recording.command == "audit":
            return recording.audited or {}
        known = recording.decision or recording.plan
        return known.snapshots if known else recording.planned

    @cached_property
    def _project(self) -> Project:
        recording, frozen = self._recording, self._frozen
        known = recording.decision or recording.plan
        index = known.deployability_index if known else None
        if recording.plan and recording.plan.is_dev and index is None:
            # As the stages of a plan do (sqlmesh/core/plan/stages.py, `build`).
            thawed = [snapshot.thawed() for snapshot in frozen.values()]
            index = DeployabilityIndex.create(thawed, start=recording.plan.question.start)
        return Project(frozen, index, restates=recording.environment == c.PROD)

    @cached_property
    def _stored(self) -> Project:
        """With what was loaded, also where SQLMesh counts it as missing to load it anew."""
        return replace(self._project, frozen={**self._frozen, **self._recording.stored})

    @cached_property
    def _afterwards(self) -> Project:
        """With what the state has when the invocation has ended."""
        return project_afterwards(self._recording, self._stored)

    @cached_property
    def _coming(self) -> Project:
        """As the next run finds it: what a run is to restate by itself is missing until it has."""
        before = self._project if self._recording.decision else self._stored
        coming = project_afterwards(self._recording, before)
        return replace(coming, deployability_index=self._next_index)

    @cached_property
    def _left(self) -> Project:
        """As the next run finds it, without what it is to restate by itself: that is loaded."""
        return replace(self._afterwards, deployability_index=self._next_index)

    @cached_property
    def _next_index(self) -> DeployabilityIndex | None:
        return next_index(self._afterwards)

    def forget_what_is_loaded(self) -> None:
        """Find anew what the state has now."""
        for found in ("_afterwards", "_coming", "_left", "_left_out"):
            self.__dict__.pop(found, None)

    @cached_property
    def _left_out(self) -> LeftOut:
        return LeftOut(self._recording, self._project, self._coming, self._held_up)

    @cached_property
    def _causes(self) -> Causes:
        frozen = {**self._frozen, **self._recording.first_seen}
        return Causes(self._recording, replace(self._project, frozen=frozen), self._stored)

    @cached_property
    def _behind(self) -> UpstreamBehind:
        return UpstreamBehind(self._recording, self._stored, self._execution_time)

    @cached_property
    def _plan_reasons(self) -> PlanReasons | None:
        plan = self._recording.plan
        return PlanReasons(self._project, self._recording, plan) if plan else None

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        nodes = dict(self._recording.local_nodes)
        for round_ in self._recording.rounds:
            # Of a run that was restarted, the environment can have lost some meanwhile.
            nodes.update({name: snapshot.node for name, snapshot in round_.snapshots.items()})
        nodes.update({name: frozen.snapshot.node for name, frozen in self._frozen.items()})
        return nodes

    @cached_property
    def _names(self) -> dict[str, str]:
        try:
            return display_names(self._nodes, self._recording.default_catalog)
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to shorten names")
            return {fqn: fqn for fqn in self._nodes}

    def _parents(self, fqn: str) -> list[str]:
        frozen = self._frozen.get(fqn)
        if frozen:
            parents: Iterable[str] = (parent.name for parent in frozen.snapshot.parents)
        else:
            parents = self._nodes[fqn].depends_on
        return sorted(parent for parent in parents if parent in self._nodes)

    def _sorted(self) -> list[str]:
        sorter = TopologicalSorter({fqn: self._parents(fqn) for fqn in sorted(self._nodes)})
        try:
            sorter.prepare()
        except CycleError:
            # The environment's models and local edits of them need not fit together.
            return sorted(self._nodes)
        ordered: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            ordered += ready
            sorter.done(*ready)
        return ordered

    def report(self) -> RunReport:
        recording = self._recording
        outcomes = [self._outcome(fqn) for fqn in self._sorted()]
        removed = recording.plan.removed if recording.plan else ()
        return RunReport(
            id=recording.id,
            command=recording.command,
            environment=recording.environment or "unknown",
            arguments=self._readable(recording.arguments),
            execution_time=self._execution_time,
            started_at=recording.started_at,
            finished_at=recording.finished_at,
            completion=self._completion(outcomes),
            error=self._readable(recording.raised),
            outcomes={outcome.name: outcome for outcome in outcomes},
            removed=tuple(shown(fqn, recording.default_catalog) for fqn in removed),
            environment_state=recording.environment_state,
            project_files=recording.project_files,
            project_files_note=self._readable(recording.project_files_note),
        )

    @cached_property
    def _execution_time(self) -> datetime:
        return execution_time_of(self._recording)

    def _completion(self, outcomes: list[ModelOutcome]) -> Completion:
        recording = self._recording
        if self._aborted or self._ended_by_environment():
            return "interrupted"
        if any(outcome.status is Status.FAILED for outcome in outcomes):
            return "failure"
        if recording.raised is not None:
            return "raised"
        plan = recording.plan
        idle_plan = plan is not None and not plan.has_work and not recording.applied
        returned = "nothing_to_do" if idle_plan else recording.returned or "success"
        # What SQLMesh returns is of the last round of a run that was restarted.
        evaluated = any(outcome.batches for outcome in outcomes)
        return "success" if returned == "nothing_to_do" and evaluated else returned

    @property
    def _aborted(self) -> bool:
        return self._recording.raised_kind == "interrupt" or self._recording.cancelled

    def _ended_by_environment(self) -> bool:
        rounds = self._recording.rounds
        raised = self._recording.raised is not None
        return raised and bool(rounds) and rounds[-1].circuit_broken

    # -- one model -----------------------------------------------------------------------------

    def _outcome(self, fqn: str) -> ModelOutcome:
        faults = self._recording.faults
        fault = faults.get(fqn) or faults.get(None)
        try:
            if fault:
                return self._unknown(fqn, fault)
            return self._explained(fqn)
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed to explain %s", fqn)
            return self._unknown(fqn, f"explaining it failed: {type(error).__name__}: {error}")

    def _unknown(self, fqn: str, message: str) -> ModelOutcome:
        note = " ".join(self._readable(message).split())
        outcome = ModelOutcome(**self._identity(fqn), status=Status.UNKNOWN, note=note or None)
        return outcome.model_copy(update={"message": sentence(outcome)})

    def _identity(self, fqn: str) -> dict[str, Any]:
        node = self._nodes[fqn]
        return {
            "name": self._names[fqn],
            "fqn": fqn,
            "kind": kind_of(node),
            "cron": node.cron,
            "undetermined_cron": is_undetermined(node.cron),
            "upstream": self._shown(self._parents(fqn)),
        }

    def _explained(self, fqn: str) -> ModelOutcome:
        node = self._nodes[fqn]
        only_audits = not getattr(node, "is_model", False) or node.kind.is_symbolic
        evaluated = evaluation(self._recording, fqn, only_audits, self._sees_through)
        finding = self._finding(fqn, evaluated)
        if finding.status is Status.UNKNOWN:
            return self._unknown(fqn, finding.message)
        ordered = tuple(sorted(finding.reasons, key=lambda reason: reason.rank))
        blocked_by = finding.facts.pop("blocked_by", ())
        caused = self._causes.of(fqn, evaluated.batches)
        if caused.change_category:
            finding.facts["change_category"] = caused.change_category
        behind = self._behind.of(fqn, evaluated.batches)
        outcome = ModelOutcome(
            **self._identity(fqn),
            status=finding.status,
            reason=ordered[0] if ordered else None,
            reasons=ordered,
            evidence={reason: finding.reasons[reason] for reason in ordered},
            partial=evaluated.partial,
            local_edit=self._edited(fqn),
            cause=caused.ordered[0] if caused.intervals else None,
            causes=caused.ordered,
            cause_evidence=caused.evidence,
            intervals_by_cause={cause: caused.intervals[cause] for cause in caused.ordered},
            restated_by=self._shown(caused.restated_by),
            changed_by=self._shown(caused.changed_by),
            loaded_through=loaded_through(self._afterwards, fqn, self._execution_time),
            waiting_since=self._waiting_since(fqn),
            upstream_behind={self._names.get(name, name): spans for name, spans in behind.items()},
            blocked_by=self._shown(blocked_by),
            error=self._readable(self._error(evaluated)),
            audits=tuple(self._audits(fqn, evaluated)),
            **finding.facts,
            **self._figures(fqn, evaluated.batches),
        )
        noted = outcome.model_copy(update={"note": self._note(outcome)})
        return noted.model_copy(update={"message": sentence(noted)})

    def _error(self, evaluated: Evaluation) -> str | None:
        """What the first of its failures raised, with what had broken the connection before."""
        failure = next(iter(evaluated.failures), None)
        if failure is None or failure.error is None or failure.connection != "gone":
            return failure.error if failure else None
        for lost in connections_lost(self._recording):
            name, error = self._names.get(lost.name, lost.name), lost.error or ""
            return f"{failure.error}, after {name} had failed with {in_short(error)}"
        return failure.error

    def _audits(self, fqn: str, evaluated: Evaluation) -> Iterator[AuditOutcome]:
        names = audit_names(self._nodes[fqn])
        for audit in audits(self._recording, fqn, evaluated.failures, names):
            error = self._readable(audit.error)
            yield audit.model_copy(update={"error": error}) if error else audit

    def _note(self, outcome: ModelOutcome) -> str | None:
        recording = self._recording
        state = recording.environment_state
        if state and outcome.reason in UNREADY_ENVIRONMENT:
            # An outcome has no other field for what is the matter with the environment.
            return environment_words(recording.environment, state)
        if outcome.status is Status.INTERRUPTED and outcome.fqn in recording.under_way:
            return (
                "it was still being evaluated when the invocation was left; "
                "whether that is recorded is not known"
            )
        return None

    def _finding(self, fqn: str, evaluated: Evaluation) -> Finding:
        if evaluated.status is None:
            return self._idle(fqn)
        finding = Finding(status=evaluated.status)
        if evaluated.status is Status.EXECUTED:
            left_out = self._left_out.of(fqn)
            finding.reasons, finding.facts = left_out.reasons, left_out.facts
            return finding
        if evaluated.status is Status.FAILED:
            return self._failed(evaluated, finding)
        if any(batch.status is Status.SKIPPED for batch in evaluated.batches):
            return self._cut_by_failure(fqn, evaluated, finding)
        if evaluated.status is Status.INTERRUPTED:
            return self._interrupted(finding, evaluated.cut_by_environment)
        return finding

    def _cut_by_failure(self, fqn: str, evaluated: Evaluation, finding: Finding) -> Finding:
        # Signals can have held back another part of it.
        held_up = self._held_up.of(fqn)
        finding.reasons, finding.facts = held_up.reasons, held_up.facts
        blocked_by = dict.fromkeys([*evaluated.blocked_by, *finding.facts.pop("blocked_by", ())])
        return finding.add(Reason.UPSTREAM_FAILED, "observed", blocked_by=tuple(blocked_by))

    def _failed(self, evaluated: Evaluation, finding: Finding) -> Finding:
        for failure in evaluated.failures:
            if failure.batch is None:
                finding.add(Reason.CREATION_FAILED, "observed", failed_step=failure.step)
            else:
                by_audit = failure.audits is not None
                finding.add(Reason.AUDIT_FAILED if by_audit else Reason.ERROR, "observed")
        return finding if finding.reasons else finding.add(Reason.ERROR, "observed")

    def _interrupted(self, finding: Finding, by_environment: bool = False) -> Finding:
        recording = self._recording
        finding.status = Status.INTERRUPTED
        state = recording.environment_state
        if state is not None and recording.command == "run":
            missing = state.unfinished_plan is None
            reason = Reason.ENVIRONMENT_MISSING if missing else Reason.ENVIRONMENT_BUSY
            finding.add(reason, "observed")
        if by_environment:
            return finding.add(Reason.ENVIRONMENT_CHANGED, "observed")
        if self._aborted:
            return finding.add(Reason.ABORTED, "observed")
        if recording.raised_kind == "error":
            step = recording.raised_step
            return finding.add(Reason.COMMAND_FAILED, "observed", failed_step=step)
        return reasons.cannot_tell("SQLMesh scheduled it, but never said how it ended")

    def _idle(self, fqn: str) -> Finding:
        """The finding for a model of which nothing was scheduled."""
        recording = self._recording
        if recording.command == "audit":
            return self._idle_in_audit(fqn)
        known = recording.decision if recording.command == "run" else recording.plan
        if known is None:
            if recording.raised_kind is None:
                return reasons.cannot_tell("SQLMesh's decision was not heard")
            if is_never_evaluated(self._nodes[fqn]):
                return Finding().add(Reason.NOT_EVALUATABLE, "observed")
            return self._interrupted(Finding())
        if any(fqn in (round_.batches or ()) for round_ in recording.latest_rounds):
            finding = self._held_up.of(fqn)
            unexplained = not finding.reasons and finding.status is not Status.UNKNOWN
            return reasons.cannot_tell("SQLMesh held it back") if unexplained else finding
        if recording.decision:
            return self._idle_in_run(fqn)
        return self._idle_in_plan(fqn)

    def _idle_in_run(self, fqn: str) -> Finding:
        decision = self._recording.decision
        assert decision is not None
        if fqn not in decision.snapshots:
            return Finding().add(Reason.NOT_IN_ENVIRONMENT, "observed")
        if fqn in decision.due:
            return self._interrupted(Finding())
        return reasons.idle_in_run(self._project, decision, fqn)

    def _idle_in_plan(self, fqn: str) -> Finding:
        explained = self._plan_reasons
        assert explained is not None
        if explained.dates_refused and not is_never_evaluated(self._nodes[fqn]):
            return self._interrupted(Finding())
        if fqn not in explained.plan.snapshots:
            return explained.absent()
        finding = explained.idle(fqn)
        return self._interrupted(finding) if finding.status is Status.INTERRUPTED else finding

    def _idle_in_audit(self, fqn: str) -> Finding:
        recording = self._recording
        if recording.raised is not None and not recording.rounds:
            return self._interrupted(Finding())
        reached = bool(recording.rounds) and fqn in (recording.rounds[0].batches or ())
        named = recording.arguments.get("models")
        if recording.raised is None or reached:
            selected = reached or not named
        elif isinstance(named, str):
            return reasons.cannot_tell("which models were to be audited was not heard")
        else:
            known_as = {fqn.lower(), self._nodes[fqn].name.lower(), self._names[fqn].lower()}
            selected = not named or any(str(name).lower() in known_as for name in named)
        audits = self._nodes[fqn].audits_with_args
        cut_off = recording.raised is not None and not reached
        finding = reasons.idle_in_audit(selected, audits, cut_off)
        return self._interrupted(finding) if finding.status is Status.INTERRUPTED else finding

    def _edited(self, fqn: str) -> bool:
        local, frozen = self._recording.local_nodes.get(fqn), self._frozen.get(fqn)
        if self._recording.command != "run" or local is None or frozen is None:
            return False
        return differs(local, frozen.snapshot)

    def _waiting_since(self, fqn: str) -> datetime | None:
        if self._recording.command == "audit":
            return None
        return waiting_since(self._left, fqn, self._execution_time)

    def _figures(self, fqn: str, batches: tuple[Batch, ...]) -> dict[str, Any]:
        durations = [batch.duration for batch in batches if batch.duration is not None]
        ends = [end for round_ in self._recording.rounds for end in round_.ends_of(fqn)]
        start = self._recording.starts.get(fqn)
        return {
            "batches": batches,
            "rows": _sum(batch.rows for batch in batches),
            "bytes": _sum(batch.bytes for batch in batches),
            "duration": sum(durations, timedelta()) if durations else None,
            "started_at": start.at if start else None,
            "finished_at": max((end.finished_at for end in ends), default=None),
            "start_order": start.order if start else None,
        }

    def _readable(self, value: Any) -> Any:
        """What anybody may read: texts without passwords and tokens."""
        if isinstance(value, dict):
            return {name: self._readable(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self._readable(part) for part in value]
        return redacted(value, self._recording.secrets) if isinstance(value, str) else value

    def _shown(self, fqns: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._names.get(fqn, fqn) for fqn in fqns)


def _sum(figures: Iterable[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None

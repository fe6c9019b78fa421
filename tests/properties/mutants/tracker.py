"""Trackers that report what is not true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any
from unittest.mock import patch

from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.tracking import moments
from pytest_sqlmesh_tracker.tracking.evaluation import batches, behind, causes
from pytest_sqlmesh_tracker.tracking.evaluation.behind import UpstreamBehind
from pytest_sqlmesh_tracker.tracking.events import facts
from pytest_sqlmesh_tracker.tracking.events.auditing import AuditRecorder
from pytest_sqlmesh_tracker.tracking.events.invocation import InvocationRecorder
from pytest_sqlmesh_tracker.tracking.events.taps import MethodEvents
from pytest_sqlmesh_tracker.tracking.intervals.loaded import After
from pytest_sqlmesh_tracker.tracking.reasons import audits, explaining, plans, reporting, runs
from pytest_sqlmesh_tracker.tracking.reasons.finding import Finding
from pytest_sqlmesh_tracker.tracking.reasons.left_out import Omission
from pytest_sqlmesh_tracker.tracking.reasons.outcomes import Outcomes
from pytest_sqlmesh_tracker.tracking.reasons.plans import PlanExplainer
from pytest_sqlmesh_tracker.tracking.reasons.signals import Unscheduled
from pytest_sqlmesh_tracker.tracking.spans import utc

from .registry import Mutant, mutant_of

MUTANTS: dict[str, Mutant] = {}
mutant = partial(mutant_of, among=MUTANTS)


def passed(scheduled: batches._Scheduled) -> batches._Scheduled:
    """The batch, executed if it had failed."""
    if scheduled.failure is None:
        return scheduled
    executed = scheduled.batch.model_copy(update={"status": Status.EXECUTED})
    return batches._Scheduled(executed, None)


@mutant(batches, "_scheduled_in")
def a_failed_batch_counts_as_executed(original: Any, *args: Any) -> Any:
    for scheduled in original(*args):
        yield passed(scheduled)


@mutant(batches, "_batch_status")
def audits_alone_count_as_executed(original: Any, *args: Any) -> Any:
    status = original(*args)
    return Status.EXECUTED if status is Status.AUDITED else status


@mutant(batches, "_roots")
def what_is_skipped_has_no_root(original: Any, *args: Any) -> list[str]:  # noqa: ARG001
    return []


@mutant(batches, "_roots")
def the_root_is_a_parent(original: Any, by_model: Any, name: str) -> Any:  # noqa: ARG001
    return by_model.round.parents(name)


@mutant(runs, "next_due")
def the_next_tick_is_due(original: Any, snapshots: Any, name: str, after: Any) -> Any:  # noqa: ARG001
    return utc(snapshots.ticks.next(snapshots.snapshot(name).node, after))


@mutant(runs, "waits_for_cron")
def nothing_is_held_back_by_cron(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    return replace(finding, held_back=())


@mutant(InvocationRecorder, "returned")
def a_run_works_on_the_local_models(original: Any, self: Any, *args: Any) -> None:
    if self.recording.decision:
        local = facts.frozen_by_name(self._context.snapshots.values())
        self.recording.decision = replace(self.recording.decision, snapshots=local)
    original(self, *args)


@mutant(reporting, "report_of")
def the_second_round_is_lost(original: Any, recording: Any) -> Any:
    del recording.rounds[1:]
    return original(recording)


@mutant(Unscheduled, "finding")
def a_signal_is_taken_for_the_cron(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    return replace(finding, reasons={Reason.CRON_NOT_DUE: "inferred"} if finding.reasons else {})


@mutant(runs, "cut_by_window")
def a_window_cuts_nothing_off(original: Any, *args: Any) -> list[Any]:  # noqa: ARG001
    return []


@mutant(runs, "outside_lifetime")
def models_live_for_ever(original: Any, *args: Any) -> None:  # noqa: ARG001
    return None


@mutant(facts, "_refused")
def a_refused_restatement_was_not_selected(original: Any, *args: Any) -> tuple[()]:  # noqa: ARG001
    return ()


@mutant(PlanExplainer, "_changed")
def what_is_not_previewed_is_reused(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    if Reason.NO_PREVIEW in finding.reasons:
        finding = replace(finding, reasons={Reason.REUSED: "inferred"})
    return finding


@mutant(PlanExplainer, "_left_undone")
def a_plan_that_was_not_applied_changed_nothing(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    if Reason.NOT_APPLIED in finding.reasons:
        finding = replace(finding, reasons={Reason.NO_CHANGES: "observed"})
    return finding


@mutant(AuditRecorder, "_ended")
def audits_on_demand_never_fail(original: Any, self: Any, ran: Any, _: Any) -> Any:
    return original(self, ran, None)


def _failed(original: Any, *args: Any, **kwargs: Any) -> Finding:
    finding: Finding = original(*args, **kwargs)
    return replace(finding, status=Status.FAILED)


@contextmanager
def _cut_off_failed() -> Iterator[None]:
    """Each explainer has imported the function that is mutated."""
    with ExitStack() as stack:
        for module in (explaining, runs, plans, audits):
            mutated = partial(_failed, module.interrupted)
            stack.enter_context(patch.object(module, "interrupted", mutated))
        yield


MUTANTS["what was cut off failed"] = _cut_off_failed


@mutant(Outcomes, "_is_edited")
def nothing_was_edited(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return False


@mutant(moments, "resolved")
def what_is_relative_is_counted_from_the_reading(original: Any, value: Any) -> Any:  # noqa: ARG001
    return value


@mutant(reporting, "report_of")
def a_report_is_of_the_moment_in_which_it_is_read(original: Any, recording: Any) -> Any:
    decision = recording.decision
    if decision and "execution_time" not in recording.arguments:
        search = replace(decision.search, execution_time=datetime.now(timezone.utc))
        recording.decision = replace(decision, search=search)
    return original(recording)


@mutant(After, "loaded_through")
def gaps_do_not_end_what_is_loaded(original: Any, self: After, name: str, at: Any) -> Any:
    loaded = self.loaded.loaded(name) if name in self.loaded.frozen else ()
    return utc(max(end for _, end in loaded)) if loaded else original(self, name, at)


@mutant(After, "waiting_since")
def nothing_waits(original: Any, *args: Any) -> None:  # noqa: ARG001
    return None


@mutant(PlanExplainer, "executed")
def a_window_holds_back_what_was_evaluated(original: Any, self: Any, *args: Any) -> Finding:
    finding: Finding = original(self, *args)
    window = self.plan.user_arguments & {"start", "end"}
    return finding.because(Reason.OUTSIDE_WINDOW, "inferred") if window else finding


@mutant(PlanExplainer, "_omission")
def a_plan_is_silent_about_the_rest(original: Any, *args: Any) -> Omission:  # noqa: ARG001
    return Omission()


@mutant(PlanExplainer, "_left_undone")
def a_restatement_that_was_not_applied_selected_nothing(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    restates = "restate_models" in args[0].plan.user_arguments
    if restates and Reason.NOT_APPLIED in finding.reasons:
        finding = replace(finding, reasons={Reason.NOT_SELECTED: "observed"})
    return finding


@mutant(PlanExplainer, "_failed_upstream")
def later_stages_wait_for_nothing(original: Any, *args: Any) -> tuple[()]:  # noqa: ARG001
    return ()


def _instead(mutated: Cause, by: Cause) -> Callable[..., None]:
    """A tracker that gives intervals another cause."""

    def give(original: Any, self: Any, cause: Cause, *args: Any) -> None:
        original(self, by if cause is mutated else cause, *args)

    give.__name__ = f"{mutated}_is_{by}"
    return give


for _mutated, _by in (
    (Cause.FIRST_LOAD, Cause.NEW_INTERVAL),
    (Cause.RESTATED, Cause.RELOADED),
    (Cause.AUTO_RESTATED, Cause.RELOADED),
    (Cause.FILLED_GAP, Cause.NEW_INTERVAL),
    (Cause.AHEAD_OF_CRON, Cause.NEW_INTERVAL),
    (Cause.RELOADED, Cause.NEW_INTERVAL),
    (Cause.AUDITS_CHANGED, Cause.REQUESTED),
):
    mutant(causes._CauseAssignment, "assign")(_instead(_mutated, _by))


@mutant(MethodEvents, "look_for_removed")
def what_was_removed_was_never_loaded(original: Any, *args: Any) -> None:
    pass


@mutant(causes._CauseAssignment, "_restated_upstream")
def a_restatement_is_by_the_parents(original: Any, self: Any, _: Any) -> Any:  # noqa: ARG001
    return tuple(self.compared.parents(self.name))


@mutant(causes._CauseAssignment, "_first_load")
def new_versions_are_changed_by_nothing(original: Any, self: Any, *args: Any) -> None:
    original(self, *args)
    self.changed_by = ()


@mutant(UpstreamBehind, "of")
def nothing_upstream_is_ever_behind(original: Any, *args: Any) -> dict[str, Any]:  # noqa: ARG001
    return {}


@mutant(behind, "_is_looked_through")
def views_upstream_are_behind(original: Any, snapshot: Any) -> bool:
    return bool(original(snapshot)) and not snapshot.model.kind.is_view


@mutant(UpstreamBehind, "_is_due_as_often")
def what_is_due_less_often_is_behind(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return True

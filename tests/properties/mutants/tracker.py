"""Trackers that report what is not true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.tracking import moments
from pytest_sqlmesh_tracker.tracking.events import facts
from pytest_sqlmesh_tracker.tracking.events.auditing import AuditInvocation
from pytest_sqlmesh_tracker.tracking.events.invocation import Invocation
from pytest_sqlmesh_tracker.tracking.events.taps import MethodEvents
from pytest_sqlmesh_tracker.tracking.reasons import batches, behind, reporting
from pytest_sqlmesh_tracker.tracking.reasons import runs as reasons
from pytest_sqlmesh_tracker.tracking.reasons.behind import UpstreamBehind
from pytest_sqlmesh_tracker.tracking.reasons.causes import Causes
from pytest_sqlmesh_tracker.tracking.reasons.left_out import LeftOut
from pytest_sqlmesh_tracker.tracking.reasons.plans import PlanReasons
from pytest_sqlmesh_tracker.tracking.reasons.runs import Finding, HeldUp

from .registry import Mutant, mutant_of

Reporter = reporting._Reporter
MUTANTS: dict[str, Mutant] = {}
mutant = partial(mutant_of, among=MUTANTS)


@mutant(batches, "_heard_of")
def a_failed_batch_counts_as_executed(original: Any, *args: Any) -> Any:
    for batch, failure in original(*args):
        ran = batch.model_copy(update={"status": Status.EXECUTED}) if failure else batch
        yield batches._Heard(ran, None)


@mutant(batches, "_batch_status")
def audits_alone_count_as_executed(original: Any, *args: Any) -> Any:
    status = original(*args)
    return Status.EXECUTED if status is Status.AUDITED else status


@mutant(batches, "_roots")
def what_is_skipped_has_no_root(original: Any, *args: Any) -> list[str]:  # noqa: ARG001
    return []


@mutant(batches, "_roots")
def the_root_is_a_parent(original: Any, round_: Any, name: str, _: bool) -> Any:  # noqa: ARG001
    return round_.parents(name)


@mutant(reasons, "next_due")
def the_next_tick_is_due(original: Any, project: Any, name: str, after: Any) -> Any:  # noqa: ARG001
    return batches.utc(project.ticks.next(project.snapshot(name).node, after))


@mutant(reasons, "waits_for_cron")
def nothing_is_held_back_by_cron(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    finding.facts["held_back"] = ()
    return finding


@mutant(Invocation, "returned")
def a_run_works_on_the_local_models(original: Any, self: Any, *args: Any) -> None:
    if self.recording.decision:
        local = facts.frozen_by_name(self._context.snapshots.values())
        self.recording.decision = replace(self.recording.decision, snapshots=local)
    original(self, *args)


@mutant(reporting, "report_of")
def the_second_round_is_lost(original: Any, recording: Any) -> Any:
    del recording.rounds[1:]
    return original(recording)


@mutant(HeldUp, "of")
def a_signal_is_taken_for_the_cron(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    if finding.reasons:
        finding.reasons = {Reason.CRON_NOT_DUE: "inferred"}
    return finding


@mutant(reasons, "cut_by_window")
def a_window_cuts_nothing_off(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return False


@mutant(reasons, "outside_lifetime")
def models_live_for_ever(original: Any, *args: Any) -> None:  # noqa: ARG001
    return None


@mutant(facts, "_refused")
def a_refused_restatement_was_not_selected(original: Any, *args: Any) -> tuple[()]:  # noqa: ARG001
    return ()


@mutant(PlanReasons, "_changed")
def what_is_not_previewed_is_reused(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    if Reason.NO_PREVIEW in finding.reasons:
        finding.reasons = {Reason.REUSED: "inferred"}
    return finding


@mutant(PlanReasons, "_left_undone")
def a_plan_that_was_not_applied_changed_nothing(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    if Reason.NOT_APPLIED in finding.reasons:
        finding.reasons = {Reason.NO_CHANGES: "observed"}
    return finding


@mutant(AuditInvocation, "_ended")
def audits_on_demand_never_fail(original: Any, self: Any, ran: Any, _: Any) -> Any:
    return original(self, ran, None)


@mutant(Reporter, "_interrupted")
def what_was_cut_off_failed(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    finding.status = Status.FAILED
    return finding


@mutant(Reporter, "_edited")
def nothing_was_edited(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return False


@mutant(moments, "resolved")
def what_is_relative_is_counted_from_the_reading(original: Any, value: Any) -> Any:  # noqa: ARG001
    return value


@mutant(reporting, "report_of")
def a_report_is_of_the_moment_in_which_it_is_read(original: Any, recording: Any) -> Any:
    decision = recording.decision
    if decision and "execution_time" not in recording.arguments:
        question = decision.question.but(execution_time=datetime.now(timezone.utc))
        recording.decision = replace(decision, question=question)
    return original(recording)


@mutant(reporting, "loaded_through")
def gaps_do_not_end_what_is_loaded(original: Any, after: Any, name: str, at: Any) -> Any:
    loaded = after.loaded(name) if name in after.frozen else ()
    return batches.utc(max(end for _, end in loaded)) if loaded else original(after, name, at)


@mutant(reporting, "waiting_since")
def nothing_waits(original: Any, *args: Any) -> None:  # noqa: ARG001
    return None


@mutant(LeftOut, "of")
def a_window_holds_back_what_was_evaluated(original: Any, self: Any, name: str) -> Finding:
    finding: Finding = original(self, name)
    plan = self.recording.plan
    window = plan and plan.asked & {"start", "end"}
    return finding.add(Reason.OUTSIDE_WINDOW, "inferred") if window else finding


@mutant(LeftOut, "_by_plan")
def a_plan_is_silent_about_the_rest(original: Any, *args: Any) -> list[Any]:  # noqa: ARG001
    return []


@mutant(PlanReasons, "_left_undone")
def a_restatement_that_was_not_applied_selected_nothing(original: Any, *args: Any) -> Finding:
    finding: Finding = original(*args)
    restates = "restate_models" in args[0].plan.asked
    if restates and Reason.NOT_APPLIED in finding.reasons:
        finding.reasons = {Reason.NOT_SELECTED: "observed"}
    return finding


@mutant(PlanReasons, "_failed_upstream")
def later_stages_wait_for_nothing(original: Any, *args: Any) -> tuple[()]:  # noqa: ARG001
    return ()


def _instead(mutated: Cause, by: Cause) -> Callable[..., None]:
    """A tracker that gives intervals another cause."""

    def give(original: Any, self: Any, caused: Any, cause: Cause, *args: Any) -> None:
        original(self, caused, by if cause is mutated else cause, *args)

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
    mutant(Causes, "_give")(_instead(_mutated, _by))


@mutant(MethodEvents, "look_for_removed")
def what_was_removed_was_never_loaded(original: Any, *args: Any) -> None:
    pass


@mutant(Causes, "_restating")
def a_restatement_is_by_the_parents(original: Any, self: Any, plan: Any, name: str) -> Any:  # noqa: ARG001
    return tuple(parent.name for parent in self._before.frozen[name].snapshot.parents)


@mutant(Causes, "_first_load")
def new_versions_are_changed_by_nothing(original: Any, self: Any, caused: Any, *args: Any) -> None:
    original(self, caused, *args)
    caused.changed_by = ()


@mutant(UpstreamBehind, "of")
def nothing_upstream_is_ever_behind(original: Any, *args: Any) -> dict[str, Any]:  # noqa: ARG001
    return {}


@mutant(behind, "_is_looked_through")
def views_upstream_are_behind(original: Any, snapshot: Any) -> bool:
    return bool(original(snapshot)) and not snapshot.model.kind.is_view


@mutant(UpstreamBehind, "_is_due_as_often")
def what_is_due_less_often_is_behind(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return True

"""Trackers that tell lies, to show that the short profile would catch them.

`python -m tests.properties.mutants` plays the short profile against each mutant, each in a process
of its own, until a statement is found to be wrong; it returns 1 if a mutant gets through. With
`--dagster` the mutants lie to Dagster.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timezone
from functools import wraps
from typing import Any
from unittest.mock import patch

from pytest_sqlmesh_tracker.outcomes.outcomes import Cause, Reason, Status
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

Reporter = reporting._Reporter
Mutant = Callable[[], AbstractContextManager[Any]]
MUTANTS: dict[str, Mutant] = {}


def mutant(
    owner: Any, attribute: str, among: dict[str, Mutant] = MUTANTS
) -> Callable[[Callable[..., Any]], None]:
    """Register a mutant: a function of the original and its arguments, in place of the original.

    Its name says, with blanks, what is wrong with the tracker then.
    """

    def register(mutated: Callable[..., Any]) -> None:
        original = getattr(owner, attribute)

        @wraps(original)
        def instead(*args: Any, **kwargs: Any) -> Any:
            return mutated(original, *args, **kwargs)

        name = mutated.__name__.replace("_", " ")
        among[name] = lambda: patch.object(owner, attribute, instead)

    return register


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


def main() -> int:
    """Play all mutants, or the one that is named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mutant")
    parser.add_argument("--dagster", action="store_true")
    options = parser.parse_args()
    mutants, test = _tried(dagster=options.dagster)
    if options.mutant:
        return play(mutants[options.mutant], test)
    more = ["--dagster"] if options.dagster else []
    with ThreadPoolExecutor(options.workers) as pool:
        survivors = sum(pool.map(lambda name: _in_a_process(name, more), mutants))
    _say(f"{len(mutants) - survivors} of {len(mutants)} mutants killed")
    return 1 if survivors else 0


def _tried(*, dagster: bool) -> tuple[dict[str, Mutant], Callable[[], None]]:
    """The mutants, and the test that has to find them out."""
    os.environ.setdefault("MAX_FORK_WORKERS", "1")
    if dagster:
        from .dagster_mutants import MUTANTS as OF_DAGSTER
        from .test_dagster_truth import test_dagster_is_told_the_truth

        return OF_DAGSTER, test_dagster_is_told_the_truth
    from .test_truth import test_reports_are_true

    return MUTANTS, test_reports_are_true


def play(mutant: Mutant, test: Callable[[], None]) -> int:
    """Play the short profile against one mutant; 0 if it was found out."""
    from .tally import TALLY

    logging.disable(logging.CRITICAL)
    try:
        with mutant():
            test()
    except Exception as error:
        found = re.search(r"- \[.*", str(error))
        _say(f"after {TALLY.examples:>2} examples  {found[0][:150] if found else error!r}")
        return 0
    return 1


def _in_a_process(name: str, more: Sequence[str]) -> bool:
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.properties.mutants", "--mutant", name, *more]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    lines = ran.stdout.splitlines() or ran.stderr.splitlines()
    verdict = f"killed {lines[-1]}" if ran.returncode == 0 else "SURVIVED"
    _say(f"{name:<45} {took:4.0f} s  {verdict}")
    return ran.returncode != 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

"""What Dagster is told of a drawn history is true."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import dagster as dg
from hypothesis import example, given, settings

from .dagster_deploying import Dagster
from .dagster_drawing import Told, told_histories
from .dagster_oracle import check_run
from .dagster_playing import DagsterRun, take_through_dagster
from .dagster_scenes import (
    AUDITED_TWICE,
    BLOCKED_BEFORE_A_LATER_STAGE,
    FAILED_BEFORE_IT_WAS_DUE,
    GONE,
    RENAMED,
    RESTATED_AND_RETRIED,
    RETRIED,
    SPLIT,
    STILL_MISSING,
    UPSTREAM_OF_WHAT_IS_SELECTED,
)
from .dagster_seen import Try, fqn_of
from .dagster_status import Memory
from .playing import begin, take
from .projects import World
from .tally import TALLY, Ledger
from .test_truth import SETTINGS


def violations(told: Told) -> list[tuple[str, str]]:
    """Play a history through Dagster; what of that is not true, as pairs of rule and sentence."""
    folder, history = Path(tempfile.mkdtemp(prefix="truth_")), told.history
    world = World(folder, history.began, history.concurrent_tasks, history.before_all)
    ledger = Ledger()
    memories: defaultdict[str, Memory] = defaultdict(Memory)
    try:
        story = begin(history, world)
        with Dagster() as dagster:
            for number, (step, asking) in enumerate(zip(history.steps, told.askings, strict=True)):
                ledger.where = f"step {number} ({step.command} {step.environment})"
                if asking is None:
                    take(story, number)
                    continue
                run = take_through_dagster(story, number, asking, dagster)
                _count(run)
                check_run(run, memories[step.environment], ledger)
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    TALLY.examples += 1
    return ledger.unmet


def _count(run: DagsterRun) -> None:
    kinds, told = dg.DagsterEventType, TALLY.told
    told["Dagster runs"] += 1
    told["Dagster runs that succeeded"] += run.success
    told["runs of selected assets"] += bool(run.asking.selection)
    told[f"runs with checks: {run.asking.checks}"] += 1
    told["runs with run config"] += run.asking.configured
    told["runs of assets of before"] += not run.asking.deployed
    told[f"{run.step.command} of {run.step.environment}"] += 1
    if run.asking.due:
        told[f"due-only runs: of {run.asking.due}"] += 1
        told["due-only runs in several steps"] += run.planned > 1
    told["runs with assets between models"] += bool(run.between)
    told["runs in several steps"] += run.planned > 1
    told["runs of which a later step was not begun"] += len(run.steps) < run.planned
    told["assets between models that ran"] += len(run.ran)
    told["models renamed"] += sum(edit.what == "renamed" for edit in run.step.edits)
    for part in run.steps:
        told["steps"] += 1
        told["second tries"] += len(part.attempts) - 1
        _count_coming_and_going(Try(part, part.attempts[-1]), told)
    for attempt in (attempt for part in run.steps for attempt in part.attempts):
        if attempt.report is not None:
            TALLY.note(attempt.report)
        told["materializations"] += len(attempt.of_type(kinds.ASSET_MATERIALIZATION))
        told["check evaluations"] += len(attempt.of_type(kinds.ASSET_CHECK_EVALUATION))


def _count_coming_and_going(tried: Try, told: Counter[str]) -> None:
    """Selected assets of models that are not everywhere."""
    for fqn in map(fqn_of, tried.part.selected & tried.run.assets.keys):
        gone, local = tried.attempt.called and tried.is_gone(fqn), fqn in tried.run.local
        command = tried.run.step.command
        told[f"assets of models that only the files have: {command}"] += bool(gone and local)
        told[f"assets of models that are gone: {command}"] += bool(gone and not local)
        told[f"assets of models that only the environment has: {command}"] += (
            gone is False and not local
        )
    environment = tried.attempt.before.environment or {}
    known = {*tried.run.deployed}
    told["models of the environment that have no asset yet"] += sum(
        fqn not in known for fqn in environment if tried.is_table(fqn)
    )


@settings(SETTINGS, max_examples=6)
@given(told_histories())
@example(RETRIED)
@example(RESTATED_AND_RETRIED)
@example(STILL_MISSING)
@example(FAILED_BEFORE_IT_WAS_DUE)
@example(UPSTREAM_OF_WHAT_IS_SELECTED)
@example(AUDITED_TWICE)
@example(BLOCKED_BEFORE_A_LATER_STAGE)
@example(GONE)
@example(RENAMED)
@example(SPLIT)
def test_dagster_is_told_the_truth(told: Told) -> None:
    logging.disable(logging.CRITICAL)
    try:
        unmet = violations(told)
    finally:
        logging.disable(logging.NOTSET)
    if unmet:
        sentences = "\n".join(f"- [{rule}] {sentence}" for rule, sentence in unmet)
        raise AssertionError(f"{sentences}\n\nof this history:\n{told}")

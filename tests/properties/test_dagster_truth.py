"""What Dagster is told of a drawn history is true."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import dagster as dg
from hypothesis import example, given, settings

from .dagster_drawing import Told, told_histories
from .dagster_oracle import check_run
from .dagster_playing import DagsterRun, Instances, can_be_asked, take_through_dagster
from .dagster_scenes import (
    AUDITED_TWICE,
    BLOCKED_BEFORE_A_LATER_STAGE,
    FAILED_BEFORE_IT_WAS_DUE,
    RESTATED_AND_RETRIED,
    RETRIED,
    STILL_MISSING,
    UPSTREAM_OF_WHAT_IS_SELECTED,
)
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
        with Instances() as instances:
            for number, (step, asking) in enumerate(zip(history.steps, told.askings, strict=True)):
                ledger.where = f"step {number} ({step.command} {step.environment})"
                if not can_be_asked(story, step):
                    take(story, number)
                    continue
                run = take_through_dagster(story, number, asking, instances)
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
    told["second tries"] += len(run.attempts) - 1
    told["runs of selected assets"] += bool(run.asking.selection)
    told[f"runs with checks: {run.asking.checks}"] += 1
    told["runs with run config"] += run.asking.configured
    told[f"{run.step.command} of {run.step.environment}"] += 1
    for attempt in run.attempts:
        if attempt.report is not None:
            TALLY.note(attempt.report)
        told["materializations"] += len(attempt.of_type(kinds.ASSET_MATERIALIZATION))
        told["check evaluations"] += len(attempt.of_type(kinds.ASSET_CHECK_EVALUATION))


@settings(SETTINGS, max_examples=8)
@given(told_histories())
@example(RETRIED)
@example(RESTATED_AND_RETRIED)
@example(STILL_MISSING)
@example(FAILED_BEFORE_IT_WAS_DUE)
@example(UPSTREAM_OF_WHAT_IS_SELECTED)
@example(AUDITED_TWICE)
@example(BLOCKED_BEFORE_A_LATER_STAGE)
def test_dagster_is_told_the_truth(told: Told) -> None:
    logging.disable(logging.CRITICAL)
    try:
        unmet = violations(told)
    finally:
        logging.disable(logging.NOTSET)
    if unmet:
        sentences = "\n".join(f"- [{rule}] {sentence}" for rule, sentence in unmet)
        raise AssertionError(f"{sentences}\n\nof this history:\n{told}")

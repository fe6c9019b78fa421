"""Plays one drawn history through Dagster, and lists what is not true of Dagster's events."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import dagster as dg

from tests.properties.demanding.dagster.oracle import check_run
from tests.properties.demanding.dagster.status import Memory
from tests.properties.demanding.dagster.tries import Try, fqn_of
from tests.properties.demanding.tally import TALLY, Ledger, Violation
from tests.properties.drawing.dagster.requests import DagsterHistory
from tests.properties.playing.dagster.assets import Dagster
from tests.properties.playing.dagster.runs import DagsterRun, take_through_dagster
from tests.properties.playing.invocations import begin, take
from tests.properties.playing.world import World


def violations(played: DagsterHistory) -> list[Violation]:
    """Play a history through Dagster; what of that is not true."""
    folder, history = Path(tempfile.mkdtemp(prefix="truth_")), played.history
    world = World(folder, history.began, history.concurrent_tasks, history.before_all)
    ledger = Ledger()
    memories: defaultdict[str, Memory] = defaultdict(Memory)
    try:
        story = begin(history, world)
        with Dagster() as dagster:
            for number, (step, request) in enumerate(
                zip(history.steps, played.requests, strict=True)
            ):
                ledger.where = f"step {number} ({step.command} {step.environment})"
                if request is None:
                    take(story, number)
                    continue
                run = take_through_dagster(story, number, request, dagster)
                _count(run)
                check_run(run, memories[step.environment], ledger)
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    TALLY.examples += 1
    return ledger.violations


def _count(run: DagsterRun) -> None:
    kinds, counts = dg.DagsterEventType, TALLY.dagster
    counts["Dagster runs"] += 1
    counts["Dagster runs that succeeded"] += run.success
    counts["runs of selected assets"] += bool(run.request.selection)
    counts[f"runs with checks: {run.request.checks}"] += 1
    counts["runs with run config"] += run.request.configured
    counts["runs of assets of before"] += not run.request.deployed
    counts[f"{run.step.command} of {run.step.environment}"] += 1
    if run.request.due:
        counts[f"due-only runs: of {run.request.due}"] += 1
        counts["due-only runs in several steps"] += run.planned > 1
    counts["runs with assets between models"] += bool(run.between)
    counts["runs in several steps"] += run.planned > 1
    counts["runs of which a later step was not begun"] += len(run.steps) < run.planned
    counts["assets between models that ran"] += len(run.ran)
    counts["models renamed"] += sum(edit.what == "renamed" for edit in run.step.edits)
    for part in run.steps:
        counts["steps"] += 1
        counts["second tries"] += len(part.attempts) - 1
        _count_coming_and_going(Try(part, part.attempts[-1]), counts)
    for attempt in (attempt for part in run.steps for attempt in part.attempts):
        if attempt.report is not None:
            TALLY.note(attempt.report)
        counts["materializations"] += len(attempt.of_type(kinds.ASSET_MATERIALIZATION))
        counts["check evaluations"] += len(attempt.of_type(kinds.ASSET_CHECK_EVALUATION))


def _count_coming_and_going(tried: Try, counts: Counter[str]) -> None:
    """Selected assets of models that are not everywhere."""
    for fqn in map(fqn_of, tried.part.selected & tried.run.assets.keys):
        gone, local = tried.attempt.called and tried.is_gone(fqn), fqn in tried.run.local
        command = tried.run.step.command
        counts[f"assets of models that only the files have: {command}"] += bool(gone and local)
        counts[f"assets of models that are gone: {command}"] += bool(gone and not local)
        counts[f"assets of models that only the environment has: {command}"] += (
            gone is False and not local
        )
    environment = tried.attempt.before.environment or {}
    known = {*tried.run.deployed}
    counts["models of the environment that have no asset yet"] += sum(
        fqn not in known for fqn in environment if tried.is_table(fqn)
    )

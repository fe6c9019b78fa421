"""Plays one drawn history, and lists what is not true of its reports."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.properties.demanding.counterfactuals.plans import check_twins, wants_twin
from tests.properties.demanding.counterfactuals.runs import check_counterfactuals, wants_copy
from tests.properties.demanding.late_reading import read_late
from tests.properties.demanding.oracle import check
from tests.properties.demanding.sharing import explained_twice
from tests.properties.demanding.tally import TALLY, Ledger, Violation
from tests.properties.drawing.specs import History, Step
from tests.properties.playing.invocations import Invocation, Story, begin, take
from tests.properties.playing.reports import afterwards
from tests.properties.playing.world import World


def violations(history: History) -> list[Violation]:
    """Play a history; what of its reports is not true."""
    folder = Path(tempfile.mkdtemp(prefix="truth_"))
    world = World(folder, history.began, history.concurrent_tasks, history.before_all)
    ledger = Ledger()
    try:
        with explained_twice(ledger):
            _play(history, world, ledger)
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    TALLY.examples += 1
    TALLY.note_history(history)
    return ledger.violations


def _play(history: History, world: World, ledger: Ledger) -> None:
    late: list[Invocation] = []
    story = begin(history, world)
    for number, step in enumerate(history.steps):
        ledger.where = _where(number, step)
        at_once = step.read == "at once"
        twin = wants_twin(step.checks, step.command)
        asks = at_once and (twin or wants_copy(step.checks, step.command))
        with _copied(world, asks) as before:
            invocation = take(story, number)
            if invocation is None:
                continue
            if at_once:
                check_counterfactuals(invocation, before, ledger)
                check_twins(invocation, before, ledger)
                judge(story, invocation, ledger)
            else:
                late.append(invocation)
    with afterwards(story):
        for invocation in late:
            ledger.where = _where(invocation.number, invocation.step)
            read_late(story, invocation, ledger)
            judge(story, invocation, ledger)
    for number, report, text in story.reports:
        same = report.to_json() == text
        ledger.demand(same, "unchanged", f"the report of step {number} has changed since")


def judge(story: Story, invocation: Invocation, ledger: Ledger) -> None:
    """Count what the report of an invocation says, and demand that it is true."""
    TALLY.note(invocation.report)
    if invocation.raised is not None:
        text = str(invocation.raised).strip().split("\n")[0][:60]
        TALLY.raised[f"{type(invocation.raised).__name__}: {text}"] += 1
    story.reports.append((invocation.number, invocation.report, invocation.report.to_json()))
    check(invocation, ledger)


def _where(number: int, step: Step) -> str:
    return f"step {number} ({step.command} {step.environment})"


@contextmanager
def _copied(world: World, needed: bool) -> Iterator[World | None]:
    if not needed:
        yield None
        return
    with world.copy(world.clock.now) as before:
        yield before

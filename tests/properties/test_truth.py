"""Every report of a drawn history is true."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, example, given, settings

from . import scenes
from .counterfactuals import check_counterfactuals, wanted
from .histories import histories
from .oracle import check
from .playing import Invocation, Story, begin, edit, take
from .projects import World
from .reading import afterwards, read_late
from .specs import History, Step
from .tally import TALLY, Ledger
from .twins import check_twins, wants_twin

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import SnapshotFingerprint

PROFILES = {
    # No shrinking: an example costs seconds, and its description can be played again as it is.
    # The same examples every time: what is new is looked for in thorough runs.
    "ci": settings(max_examples=30, phases=(Phase.explicit, Phase.generate), derandomize=True),
    "thorough": settings(max_examples=20, phases=(Phase.generate,), database=None),
    "shrink": settings(max_examples=100),
}
SETTINGS = settings(
    PROFILES[os.environ.get("TRUTH_PROFILE", "ci")],
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def violations(history: History) -> list[tuple[str, str]]:
    """Play a history; what of its reports is not true, as pairs of rule and sentence."""
    folder = Path(tempfile.mkdtemp(prefix="truth_"))
    world = World(folder, history.began, history.concurrent_tasks, history.before_all)
    ledger = Ledger()
    late: list[Invocation] = []
    try:
        story = begin(history, world)
        for number, step in enumerate(history.steps):
            ledger.where = _where(number, step)
            at_once = step.read == "at once"
            twin = wants_twin(step.checks, step.command)
            asks = at_once and (twin or wanted(step.checks, step.command))
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
        for number, report, text in story.told:
            same = report.to_json() == text
            ledger.demand(same, "unchanged", f"the report of step {number} has changed since")
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    TALLY.examples += 1
    TALLY.note_history(history)
    return ledger.unmet


def judge(story: Story, invocation: Invocation, ledger: Ledger) -> None:
    """Count what the report of an invocation says, and demand that it is true."""
    TALLY.note(invocation.report)
    if invocation.raised is not None:
        text = str(invocation.raised).strip().split("\n")[0][:60]
        TALLY.raised[f"{type(invocation.raised).__name__}: {text}"] += 1
    story.told.append((invocation.number, invocation.report, invocation.report.to_json()))
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


@settings(SETTINGS, max_examples=5)
@given(histories())
def test_copies_have_the_models_that_their_files_have(history: History) -> None:
    with tempfile.TemporaryDirectory(prefix="truth_") as folder:
        world = World(Path(folder), history.began)
        try:
            story = begin(history, world)
            for step in history.steps:
                edit(story, step)
                now = world.clock.now
                with world.copy(now) as copied, world.copy(now, reads_files=True) as read:
                    assert _fingerprints(copied) == _fingerprints(read) == _fingerprints(world)
        finally:
            world.close()


def _fingerprints(world: World) -> dict[str, SnapshotFingerprint]:
    return {name: snapshot.fingerprint for name, snapshot in world.context.snapshots.items()}


@SETTINGS
@given(histories())
@example(scenes.AUDIT_ON_DEMAND)
@example(scenes.NOT_APPLIED)
@example(scenes.REUSED_AUDITS)
@example(scenes.INJECTED)
@example(scenes.ENDED)
@example(scenes.IN_THE_PAST)
@example(scenes.NO_PREVIEW)
@example(scenes.ROOT_BEHIND_A_PARENT)
@example(scenes.RESTATED)
@example(scenes.REMOVED_ELSEWHERE)
@example(scenes.AFTER_A_FAILED_PLAN)
@example(scenes.RESTATED_WITH_GAPS)
@example(scenes.GAPS)
@example(scenes.RESTATED_BY_ITSELF)
@example(scenes.RELATIVE)
@example(scenes.STALE)
@example(scenes.IRREGULAR)
@example(scenes.LATER_STAGE)
@example(scenes.EAGER)
def test_reports_are_true(history: History) -> None:
    logging.disable(logging.ERROR)
    try:
        unmet = violations(history)
    finally:
        logging.disable(logging.NOTSET)
    if unmet:
        sentences = "\n".join(f"- [{rule}] {sentence}" for rule, sentence in unmet)
        raise AssertionError(f"{sentences}\n\nof this history:\n{history}")

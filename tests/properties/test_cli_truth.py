"""`sqlmesh-tracker run`, which reads the project's files afterwards, agrees with `Context.run`.

Drawn projects with edits that are not planned and models that never were. Each run is made twice,
on two copies of the same moment: by SQLMesh's command line, and by a context that has loaded the
project. `SQLMESH_TRACKER_CLI_HISTORIES` says how many histories are drawn.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.command import Signals, run_sqlmesh
from pytest_sqlmesh_tracker.tracking.preferences import Preferences, prefer
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.project_files import read_project_files
from tests.cli.conftest import undisturbed
from tests.engines.databases import DuckDBFile
from tests.engines.engine import ENGINE, ProjectDatabases
from tests.properties.drawing.dice import Dice
from tests.properties.drawing.histories import draw_some_edits, histories
from tests.properties.drawing.specs import History, Step, edited
from tests.properties.playing.invocations import (
    Story,
    begin,
    in_haste,
    prepare,
    prepared_call,
    take,
)
from tests.properties.playing.project_files import config
from tests.properties.playing.world import World

from .examples import Shard, draw_each, sharded

COUNTS = {"runs": 0, "outcomes": 0, "never planned": 0, "edited": 0}


@st.composite
def unplanned_histories(draw: st.DrawFn) -> History:
    """Histories in which the project is edited before most runs, and not planned."""
    history, dice = draw(histories()), Dice(draw)
    models, steps = history.models, []
    for step in history.steps:
        if comparable(step):
            step = replace(step, edits=(*step.edits, *draw_some_edits(dice, models, added=50)))
        models = edited(models, step.edits)
        steps.append(step)
    return replace(history, steps=tuple(steps))


@sharded("SQLMESH_TRACKER_CLI_HISTORIES", 4)
def test_the_command_line_and_the_context_report_the_same(shard: Shard) -> None:
    draw_each(unplanned_histories().filter(_has_a_run), shard, _compare)
    print(COUNTS)  # noqa: T201


def _has_a_run(history: History) -> bool:
    return any(map(comparable, history.steps))


def _compare(history: History) -> None:
    logging.disable(logging.ERROR)
    try:
        for where, command_line, context in twins(history):
            assert facts(command_line) == facts(context), f"{where} of this history:\n{history}"
            assert command_line.project_files == "read"
            count(command_line)
    finally:
        logging.disable(logging.NOTSET)


def comparable(step: Step) -> bool:
    """A run in which nothing happens that only a sandbox can do."""
    return step.command == "run" and not (step.injected or step.switched("held", "interrupt"))


def twins(history: History) -> Iterator[tuple[str, RunReport, RunReport]]:
    """The reports of each run, by the command line and by a context."""
    folder = Path(tempfile.mkdtemp(prefix="truth_"))
    world = World(folder, history.began, history.concurrent_tasks, history.before_all)
    try:
        story = begin(history, world)
        for number, step in enumerate(history.steps):
            if not comparable(step):
                take(story, number)
                continue
            with in_haste():
                prepare(story, step)
                with world.copy(story.now) as one, world.copy(story.now) as other:
                    world.clock.stop()
                    yield (
                        f"step {number}",
                        by_command_line(one, story, step),
                        by_context(other, step),
                    )
                    world.clock.start()
                call = prepared_call(world, step)
                assert call is not None
                with contextlib.suppress(Exception):
                    call()
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)


def by_context(world: World, step: Step) -> RunReport:
    # A sandbox does not wait for a plan, and the command line does.
    prefer(world.context, Preferences())
    with sqlmesh_run_tracker(world.context) as tracker, contextlib.suppress(Exception):
        world.context.run(step.environment, **step.arguments)
    return tracker.last


def by_command_line(world: World, story: Story, step: Step) -> RunReport:
    history = story.history
    world.use()
    if not ENGINE.has_server:
        (database,) = world.folder.rglob("wh.db")
        file = DuckDBFile(database.parent)
        databases = ProjectDatabases(file, file)
        text = config(databases, history.concurrent_tasks, before_all=history.before_all)
        (world.path / "config.yaml").write_text(text)
    location = ProjectLocation([str(world.path)])
    read = partial(read_project_files, location, timeout=120, print_output=lambda _: None)
    words = [f"--paths={world.path}", "run", step.environment, *options(step.arguments)]
    with undisturbed():
        ended = run_sqlmesh(words, Signals(), read_files=read)
    assert len(ended.reports) == 1, ended
    (report,) = ended.reports
    return report


def options(arguments: Any) -> Iterator[str]:
    """The arguments of `Context.run` as options of the command line."""
    for name, value in arguments.items():
        option = "--select-model" if name == "select_models" else "--" + name.replace("_", "-")
        if isinstance(value, bool):
            yield from [option] * value
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                yield f"{option}={one}"


def facts(report: RunReport) -> dict[str, Any]:
    """Everything in a report except what differs between any two runs."""
    text = report.to_json()
    # A partial interval ends when the run begins, which SQLMesh counts in milliseconds.
    now = json.loads(text)["execution_time"]
    content: dict[str, Any] = json.loads(re.sub(rf"{now[:-4]}\d*Z", "now", text))
    for name in ("id", "arguments", "started_at", "finished_at", "execution_time"):
        del content[name]
    for outcome in content["outcomes"].values():
        for name in ("duration", "started_at", "finished_at", "start_order"):
            del outcome[name]
        for batch in outcome["batches"]:
            del batch["duration"]
    return content


def count(report: RunReport) -> None:
    COUNTS["runs"] += 1
    COUNTS["outcomes"] += len(report.outcomes)
    COUNTS["never planned"] += len(report.by_reason["not_in_environment"])
    COUNTS["edited"] += sum(outcome.local_edit for outcome in report.outcomes.values())

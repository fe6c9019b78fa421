"""Playing a drawn history on real SQLMesh, step by step, with the tracker and the witnesses on."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.properties.drawing.specs import History, Model, Step, edited

from .due import what_is_due
from .log import Log
from .predicting import Prediction, what_would_run
from .reports import Reading, reading
from .state import Snapshots, State, as_stored, own_definition, read_state, shown
from .witnesses import Witness, watching
from .world import World

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import RunReport
    from pytest_sqlmesh_tracker.tracking.queries.messages import Due, UnfinishedPlan

Definitions = dict[tuple[str, str, str], Model]
"""The drawn model of each version that was ever in the project."""


@dataclass
class Invocation:
    """One invocation that took place, and everything known about it."""

    number: int
    step: Step
    now: datetime
    models: tuple[Model, ...]
    world: World
    reading: Reading
    raised: BaseException | None
    returned: Any
    witness: Witness
    before: State
    after: State
    local: Snapshots
    definitions: Definitions
    due_before: Due | UnfinishedPlan | Exception | None = None
    """What was due before, for schedules; None before anything but a plain run."""

    predicted: Prediction | None = None
    """What `why` predicted of it; None before anything but a plain run."""

    log: Log | None = None
    """What was known before it."""
    stored: Snapshots = field(default_factory=dict)
    """The versions that it was about, with what the state had of them afterwards."""

    @property
    def report(self) -> RunReport:
        """The report; it is made when it is read for the first time."""
        return self.reading.tracked.report

    def definition(self, snapshot: Snapshot | None) -> Model | None:
        """The drawn model that a version was made from."""
        if snapshot is None:
            return None
        return self.definitions.get((snapshot.name, *own_definition(snapshot)))

    def starts(self, model: Model) -> set[str]:
        """Where it may start: a standalone audit without a start has that of what it reads."""
        parents = [other for other in self.models if other.name in model.parents]
        inherited = parents if model.kind == "audit" and model.start is None else []
        return {each.start for each in (model, *inherited) if each.start is not None}

    @property
    def plan(self) -> Any:
        """The plan that SQLMesh built, if it came so far."""
        return self.witness.plan if self.report.command == "plan" else None

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.step.arguments)


@dataclass
class Story:
    """The state of a history while it is played."""

    history: History
    world: World
    models: tuple[Model, ...]
    now: datetime
    definitions: Definitions = field(default_factory=dict)
    reports: list[tuple[int, RunReport, str]] = field(default_factory=list)
    """Reports as they were when they were made."""
    log: Log = field(default_factory=Log)


class _Hasty:
    """The module `time` for SQLMesh's context: waiting for an environment takes no time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Do not."""


_PACKAGES = "sqlmesh.core.context_diff.metadata.packages_distributions"


@cache
def _installed() -> Any:
    """The installed packages: SQLMesh asks for them in each plan, and it takes long."""
    return resolve_name(_PACKAGES)()


@contextmanager
def in_haste() -> Iterator[None]:
    """Without waiting, and without looking for what can't have changed in the meantime."""
    packages = _installed()
    with (
        mock.patch("sqlmesh.core.context.time", _Hasty()),
        mock.patch(_PACKAGES, return_value=packages),
    ):
        yield


def begin(history: History, world: World) -> Story:
    world.clock.start()
    world.set_up(history.models)
    return Story(history, world, history.models, history.began)


@contextmanager
def played(history: History) -> Iterator[Story]:
    """The state after all steps of a history, in a folder that is removed afterwards."""
    with TemporaryDirectory(prefix="history_") as folder:
        world = World(Path(folder), history.began, history.concurrent_tasks, history.before_all)
        try:
            story = begin(history, world)
            for number in range(len(history.steps)):
                take(story, number)
            yield story
        finally:
            world.close()


def edit(story: Story, step: Step) -> None:
    """Change the project as the step requires."""
    if step.edits:
        story.models = edited(story.models, step.edits)
        story.world.rewrite(story.models)
        story.world.context.load()


def prepare(story: Story, step: Step) -> Snapshots:
    """Let the step's time come, and all be as it wants it; what the project's models are then."""
    world = story.world
    story.now += step.wait
    world.clock.travel(story.now)
    edit(story, step)
    world.switch(step.switches, story.models)
    local = dict(world.context.snapshots)
    drawn = {model.name: model for model in story.models}
    for fqn, snapshot in local.items():
        story.definitions.setdefault((fqn, *own_definition(snapshot)), drawn[shown(fqn)])
    world.inject(step, {shown(fqn): fqn for fqn, *_ in story.definitions})
    return local


def take(story: Story, number: int) -> Invocation | None:
    """Take one step; None if it never came to an invocation."""
    step = story.history.steps[number]
    world = story.world
    with in_haste():
        local = prepare(story, step)
        before = read_state(world.context, step.environment)
        due_before = what_is_due(world, step)
        predicted = what_would_run(world, step)
        call = prepared_call(world, step)
        if call is None:
            return None
        witness, read, raised, returned = _invoke(world, step, call)
        after = read_state(world.context, step.environment)
        planned = witness.plan.context_diff.snapshots if witness.plan else {}
        of_plan = step.command in ("plan", "apply")
        about = planned if of_plan else after.environment or {}
        stored = as_stored(world.context, about.values())
    log, story.log = story.log, story.log.after(witness, (before, after))
    return Invocation(
        number=number,
        step=step,
        now=story.now,
        models=story.models,
        world=world,
        reading=read,
        raised=raised,
        returned=returned,
        witness=witness,
        before=before,
        after=after,
        local=local,
        definitions=story.definitions,
        due_before=due_before,
        predicted=predicted,
        log=log,
        stored=stored,
    )


def prepared_call(world: World, step: Step) -> Callable[[], Any] | None:
    """The call to be tracked; None if SQLMesh refuses a plan before it could be applied."""
    context = world.context
    arguments = dict(step.arguments)
    if step.command == "run":
        return lambda: context.run(step.environment, **arguments)
    if step.command == "audit":
        return lambda: context.audit(**arguments)
    if step.command == "plan":
        arguments = supported({"auto_apply": True, "no_prompts": True, **arguments}, context.plan)
        return lambda: context.plan(step.environment, **arguments)
    try:
        arguments = supported(arguments, context.plan_builder)
        builder = context.plan_builder(step.environment, **arguments)
        plan = builder.build()
    except Exception:
        return None

    def apply() -> Any:
        builder.build()  # the same plan, for the witness
        return context.apply(plan)

    return apply


def supported(arguments: dict[str, Any], call: Callable[..., Any]) -> dict[str, Any]:
    """Those arguments that this version of SQLMesh has."""
    known = inspect.signature(call).parameters
    return {key: value for key, value in arguments.items() if key in known}


def _invoke(
    world: World, step: Step, call: Callable[[], Any]
) -> tuple[Witness, Reading, BaseException | None, Any]:
    from sqlmesh.utils.concurrency import NodeExecutionFailedError

    from pytest_sqlmesh_tracker import sqlmesh_run_tracker

    raised: BaseException | None = None
    returned = None
    explaining = world.explaining(bool(step.arguments.get("explain")))
    with (
        explaining,
        sqlmesh_run_tracker(world.context) as tracker,
        watching(type(world.context.snapshot_evaluator)) as witness,
    ):
        try:
            returned = call()
        except Exception as error:
            raised = error
        except (KeyboardInterrupt, SystemExit) as error:
            if not step.switched("interrupt", "environment"):
                raise
            raised = error
    if isinstance(raised, NodeExecutionFailedError):
        # If several views can't be created, SQLMesh reports only the first failure.
        witness.keep_creation_failure(getattr(raised.node, "name", None))
    return witness, reading(tracker, step.read), raised, returned

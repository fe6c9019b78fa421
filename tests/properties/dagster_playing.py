"""Playing the invocations of a history through Dagster, with the witnesses on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from pytest_sqlmesh_tracker import NoReportError
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.testing import _bound
from pytest_sqlmesh_tracker.tracking.defining import define

from .dagster_drawing import CONFIGURED, Asking
from .facts import State, read_state
from .playing import Invocation, Story, in_haste, prepare, supported
from .reading import Made, Reading
from .specs import Step, edited
from .witnesses import Witness, watching

if TYPE_CHECKING:
    from .projects import World

OP = "warehouse"


@dataclass
class Called:
    """How SQLMesh's context was called, and how that ended."""

    command: str
    arguments: dict[str, Any]
    raised: BaseException | None = None


@dataclass
class Attempt:
    """One try of the Dagster step: what it let SQLMesh do, and what it told."""

    invocation: Any
    witness: Witness
    before: State
    after: State | None = None
    called: list[Called] = field(default_factory=list)
    events: list[dg.DagsterEvent] = field(default_factory=list)
    read_to_its_end: bool = False
    """Dagster took all that was to be told."""

    @property
    def report(self) -> Any:
        try:
            return self.invocation.report
        except NoReportError:
            return None

    def of_type(self, kind: dg.DagsterEventType) -> list[Any]:
        return [event for event in self.events if event.event_type is kind]


@dataclass
class DagsterRun:
    """One Dagster run, and all that is known of it."""

    number: int
    step: Step
    asking: Asking
    story: Story
    local: Any
    assets: dg.AssetsDefinition
    selected: frozenset[dg.AssetKey]
    checks: frozenset[dg.AssetCheckKey]
    """Those that are selected."""
    success: bool
    attempts: list[Attempt]

    def invocation(self, attempt: Attempt) -> Invocation:
        """The attempt, as one invocation of a history."""
        assert attempt.after is not None
        return Invocation(
            number=self.number,
            step=self.step,
            now=self.story.now,
            models=self.story.models,
            world=self.story.world,
            reading=Reading(Made(attempt.report)),
            raised=attempt.called[-1].raised,
            returned=None,
            witness=attempt.witness,
            before=attempt.before,
            after=attempt.after,
            local=self.local,
            definitions=self.story.definitions,
        )


class Instances:
    """A Dagster instance for each of SQLMesh's environments, whose assets have the same keys."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._instances: dict[str, dg.DagsterInstance] = {}

    def of(self, environment: str) -> dg.DagsterInstance:
        if environment not in self._instances:
            made = self._open.enter_context(dg.DagsterInstance.ephemeral())
            self._instances[environment] = made
        return self._instances[environment]

    def __enter__(self) -> Instances:
        return self

    def __exit__(self, *exited: object) -> None:
        self._open.close()


def can_be_asked(story: Story, step: Step) -> bool:
    """Whether assets can do it: they run and plan, if there are any."""
    models = edited(story.models, step.edits)
    return step.command in ("run", "plan") and any(not model.only_audited for model in models)


def take_through_dagster(
    story: Story, number: int, asking: Asking, instances: Instances
) -> DagsterRun:
    """Take one step as a Dagster run of assets that are made of the project as it is then."""
    step, world = story.history.steps[number], story.world
    attempts: list[Attempt] = []
    with in_haste(), world.explaining(bool(step.arguments.get("explain"))):
        local = prepare(story, step)
        observing = ExitStack()
        assets, config = _assets(world, step, asking, attempts, observing)
        dg.Definitions.validate_loadable(
            dg.Definitions([assets], resources={"sqlmesh": _resource(world)})
        )
        selection = _selection(assets, asking)
        # Dagster can leave the op's function where it is.
        with observing:
            result = dg.materialize(
                [assets],
                selection=selection,
                resources={"sqlmesh": _bound(world)},
                instance=instances.of(step.environment),
                run_config={"ops": {OP: {"config": config}}},
                raise_on_error=False,
            )
    for attempt, events in zip(attempts, _of_each_try(result.all_events), strict=True):
        attempt.events = events
    graph = result.job_def.asset_layer.asset_graph
    chosen = selection or dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
    return DagsterRun(
        number=number,
        step=step,
        asking=asking,
        story=story,
        local=local,
        assets=assets,
        selected=frozenset(chosen.resolve(graph)),
        checks=frozenset(chosen.resolve_checks(graph)),
        success=result.success,
        attempts=attempts,
    )


def _resource(world: World) -> SqlmeshResource:
    return SqlmeshResource(project=SqlmeshProject(world.path))


def _assets(
    world: World, step: Step, asking: Asking, attempts: list[Attempt], observing: ExitStack
) -> tuple[dg.AssetsDefinition, dict[str, Any]]:
    """The assets, whose function does what the step wants, and the run config."""
    project = SqlmeshProject(world.path)
    object.__setattr__(project, "_definition", define(world.context))
    command, arguments, config = _divided(world, step, asking)

    @sqlmesh_assets(
        project=project,
        environment=step.environment,
        name=OP,
        retry_policy=dg.RetryPolicy(max_retries=1) if asking.retries else None,
    )
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        invocation = getattr(sqlmesh, command)(context=context, **arguments)
        attempt = observing.enter_context(_observed(invocation, world, step))
        attempts.append(attempt)
        try:
            yield from invocation.stream()
            attempt.read_to_its_end = True
        except dg.Failure:
            attempt.read_to_its_end = True
            raise
        finally:
            observing.close()

    return warehouse, config


def _divided(
    world: World, step: Step, asking: Asking
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The step's arguments: what the function passes, to which method, and what is run config."""
    arguments = dict(step.arguments)
    if not asking.configured:
        if step.command == "plan":
            arguments = supported(arguments, world.context.plan)
        return step.command, arguments, {}
    config = {key: arguments.pop(key) for key in CONFIGURED & arguments.keys()}
    if "restate_models" in config:
        config["restate"] = config.pop("restate_models")
    return "run", arguments, config


@contextmanager
def _observed(invocation: Any, world: World, step: Step) -> Iterator[Attempt]:
    """Note what the context is asked, and what SQLMesh does then."""
    context = world.context
    before = read_state(context, step.environment)
    with watching(type(context.snapshot_evaluator)) as witness:
        attempt = Attempt(invocation, witness, before)
        with _heard(context, attempt):
            try:
                yield attempt
            finally:
                attempt.after = read_state(context, step.environment)


@contextmanager
def _heard(context: Any, attempt: Attempt) -> Iterator[None]:
    def heard(command: str) -> Any:
        def call(environment: str, **arguments: Any) -> Any:
            called = Called(command, arguments)
            attempt.called.append(called)
            try:
                # Looked up now: the tracker replaces the methods of the class.
                return getattr(type(context), command)(context, environment, **arguments)
            except BaseException as error:
                called.raised = error
                raise

        return call

    commands = ("run", "plan")
    for command in commands:
        setattr(context, command, heard(command))
    try:
        yield
    finally:
        for command in commands:
            delattr(context, command)


def _selection(assets: dg.AssetsDefinition, asking: Asking) -> dg.AssetSelection | None:
    if not asking.selection and asking.checks == "all":
        return None
    keys = [dg.AssetKey(name.split(".")) for name in asking.selection] or list(assets.keys)
    wanted = dg.AssetSelection.assets(*keys)
    if asking.checks == "all":
        return wanted
    alone = wanted.without_checks()
    checks = [
        check
        for check in assets.check_keys
        if check.asset_key in keys
        and asking.checks == ("status" if check.name == STATUS_CHECK else "audits")
    ]
    return alone | dg.AssetSelection.checks(*checks) if checks else alone


def _of_each_try(events: Sequence[dg.DagsterEvent]) -> list[list[dg.DagsterEvent]]:
    """The events of the step, try by try."""
    tries: list[list[dg.DagsterEvent]] = [[]]
    for event in events:
        if event.event_type is dg.DagsterEventType.STEP_RESTARTED:
            tries.append([])
        tries[-1].append(event)
    return tries

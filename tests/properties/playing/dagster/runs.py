"""Playing the invocations of a history through Dagster, with the witnesses on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from pytest_sqlmesh_tracker import NoReportError
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.running.tags import DUE_ONLY
from pytest_sqlmesh_tracker.dagster.testing import bind
from tests.properties.drawing.dagster.requests import CONFIGURED, DagsterRequest
from tests.properties.drawing.specs import Step
from tests.properties.playing.invocations import Invocation, Story, in_haste, prepare, supported
from tests.properties.playing.reports import Made, Reading
from tests.properties.playing.state import Snapshots, State, missing, read_state, shown
from tests.properties.playing.witnesses import Witness, watching

from .assets import OP, Dagster, assets_of, between_of, key_of_name

if TYPE_CHECKING:
    from tests.properties.playing.world import World


@dataclass
class Called:
    """How SQLMesh's context was called, and how that ended."""

    command: str
    arguments: dict[str, Any]
    raised: BaseException | None = None


@dataclass
class Attempt:
    """One try of a Dagster step: what it let SQLMesh do, and the events of it."""

    key: str
    """The step's."""
    selected: frozenset[dg.AssetKey]
    checks: frozenset[dg.AssetCheckKey]
    """Those that are selected in the step."""
    began_after: frozenset[dg.AssetKey]
    """The assets between models that had run before."""
    invocation: Any
    witness: Witness
    before: State
    after: State | None = None
    called: list[Called] = field(default_factory=list)
    events: list[dg.DagsterEvent] = field(default_factory=list)
    read_to_its_end: bool = False
    """Dagster took all events."""

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
    """One Dagster run, and everything known about it."""

    number: int
    step: Step
    request: DagsterRequest
    story: Story
    local: Snapshots
    """The project's models as they are."""
    deployed: Snapshots
    """And as they were when the assets were made of them."""
    assets: dg.AssetsDefinition
    between: list[dg.AssetsDefinition]
    selected: frozenset[dg.AssetKey]
    success: bool
    ran: list[dg.AssetKey] = field(default_factory=list)
    """The assets between models that ran."""
    steps: list[DagsterStep] = field(default_factory=list)
    """Of the project's assets, those that were begun, in order."""
    planned: int = 1
    """How many there are."""


@dataclass
class DagsterStep:
    """One of the steps into which Dagster splits the op, and its tries."""

    run: DagsterRun
    attempts: list[Attempt]
    success: bool

    @property
    def selected(self) -> frozenset[dg.AssetKey]:
        return self.attempts[0].selected

    @property
    def checks(self) -> frozenset[dg.AssetCheckKey]:
        return self.attempts[0].checks

    def invocation(self, attempt: Attempt) -> Invocation:
        """The attempt, as one invocation of a history."""
        assert attempt.after is not None
        run, story = self.run, self.run.story
        return Invocation(
            number=run.number,
            step=run.step,
            now=story.now,
            models=story.models,
            world=story.world,
            reading=Reading(Made(attempt.report)),
            raised=attempt.called[-1].raised,
            returned=None,
            witness=attempt.witness,
            before=attempt.before,
            after=attempt.after,
            local=run.local,
            definitions=story.definitions,
        )


def take_through_dagster(
    story: Story, number: int, request: DagsterRequest, dagster: Dagster
) -> DagsterRun:
    """Take one step as a Dagster run of the assets that are deployed."""
    step, world = story.history.steps[number], story.world
    attempts: list[Attempt] = []
    ran: list[dg.AssetKey] = []
    with in_haste(), world.explaining(bool(step.arguments.get("explain"))):
        local = prepare(story, step)
        known = dagster.deployed(world, request)
        command, arguments, config = _divided(world, step, request)
        observing = ExitStack()

        def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
            invocation = getattr(sqlmesh, command)(context=context, **arguments)
            observed = _observed(invocation, world, step, context, frozenset(ran))
            attempt = observing.enter_context(observed)
            attempts.append(attempt)
            try:
                yield from invocation.stream()
                attempt.read_to_its_end = True
            except dg.Failure:
                attempt.read_to_its_end = True
                raise
            finally:
                observing.close()

        assets = assets_of(world, known, step.environment, request, warehouse)
        between = between_of(request, ran.append)
        all_of_them = [assets, *between]
        selection = _selection(assets, between, request, _due(world, step))
        unbound = SqlmeshResource(project=SqlmeshProject(world.path))
        job = dg.define_asset_job("requested", selection or "*")
        definitions = dg.Definitions(all_of_them, jobs=[job], resources={"sqlmesh": unbound})
        dg.Definitions.validate_loadable(definitions)
        ops = _ops(definitions)
        # Dagster can leave the op's function where it is.
        with observing:
            result = dg.materialize(
                all_of_them,
                selection=selection,
                resources={"sqlmesh": bind(world)},
                instance=dagster.instance(step.environment),
                run_config={"ops": {name: {"config": config} for name in ops}},
                tags={DUE_ONLY: "true"} if request.due else None,
                raise_on_error=False,
            )
    graph = result.job_def.asset_layer.asset_graph
    chosen = selection or dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
    run = DagsterRun(
        number=number,
        step=step,
        request=request,
        story=story,
        local=local,
        deployed=known.local,
        assets=assets,
        between=between,
        selected=frozenset(chosen.resolve(graph)),
        success=result.success,
        ran=ran,
        planned=len(ops),
    )
    for key in dict.fromkeys(attempt.key for attempt in attempts):
        events = [event for event in result.all_events if event.step_key == key]
        tries = [attempt for attempt in attempts if attempt.key == key]
        for attempt, of_try in zip(tries, _of_each_try(events), strict=True):
            attempt.events = of_try
        success = any(event.is_step_success for event in events)
        run.steps.append(DagsterStep(run, tries, success))
    return run


def _ops(definitions: dg.Definitions) -> list[str]:
    """The names of the project's op in the job: Dagster splits it where something is between."""
    find = getattr(definitions, "resolve_job_def", None) or definitions.get_job_def
    return [node.name for node in find("requested").graph.nodes if node.definition.name == OP]


def _due(world: World, step: Step) -> list[str]:
    """The models that a schedule would request: it asks for what is due, whatever signals say."""
    environment = read_state(world.context, step.environment).environment or {}
    now = world.clock.now
    due = missing(environment, step.environment, execution_time=now, end=now)
    return [shown(fqn) for fqn in due]


def _divided(
    world: World, step: Step, request: DagsterRequest
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The step's arguments: what the function passes, to which method, and what is run config."""
    arguments = dict(step.arguments)
    if not request.configured:
        if step.command == "plan":
            arguments = supported(arguments, world.context.plan)
        return step.command, arguments, {}
    config = {key: arguments.pop(key) for key in CONFIGURED & arguments.keys()}
    if "restate_models" in config:
        config["restate"] = config.pop("restate_models")
    return "run", arguments, config


@contextmanager
def _observed(
    invocation: Any,
    world: World,
    step: Step,
    op_context: dg.AssetExecutionContext,
    ran: frozenset[dg.AssetKey],
) -> Iterator[Attempt]:
    """Note how the context is called, and what SQLMesh does then."""
    context = world.context
    before = read_state(context, step.environment)
    with watching(type(context.snapshot_evaluator)) as witness:
        attempt = Attempt(
            key=op_context.op_execution_context.get_step_execution_context().step.key,
            selected=frozenset(op_context.selected_asset_keys),
            checks=frozenset(op_context.selected_asset_check_keys),
            began_after=ran,
            invocation=invocation,
            witness=witness,
            before=before,
        )
        with _recording_calls(context, attempt):
            try:
                yield attempt
            finally:
                attempt.after = read_state(context, step.environment)


@contextmanager
def _recording_calls(context: Any, attempt: Attempt) -> Iterator[None]:
    def recorded(command: str) -> Any:
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
        setattr(context, command, recorded(command))
    try:
        yield
    finally:
        for command in commands:
            delattr(context, command)


def _selection(
    assets: dg.AssetsDefinition,
    between: list[dg.AssetsDefinition],
    request: DagsterRequest,
    due: list[str],
) -> dg.AssetSelection | None:
    names = due if request.due == "due" else request.selection
    chosen = [key for key in map(key_of_name, names) if key in assets.keys or not request.due]
    # Nothing is due: a schedule would request nothing.
    if not chosen and request.checks == "all":
        return None
    plain = [asset.key for asset in between]
    models = [key for key in chosen if key not in plain] or list(assets.keys)
    if request.due == "due" or not chosen:
        chosen = [*models, *plain]
    if request.checks == "all":
        return dg.AssetSelection.assets(*chosen)
    alone = dg.AssetSelection.assets(*chosen).without_checks()
    checks = [
        check
        for check in assets.check_keys
        if check.asset_key in models
        and request.checks == ("status" if check.name == STATUS_CHECK else "audits")
    ]
    return alone | dg.AssetSelection.checks(*checks) if checks else alone


def _of_each_try(events: list[dg.DagsterEvent]) -> list[list[dg.DagsterEvent]]:
    """The events of the step, try by try."""
    tries: list[list[dg.DagsterEvent]] = [[]]
    for event in events:
        if event.event_type is dg.DagsterEventType.STEP_RESTARTED:
            tries.append([])
        tries[-1].append(event)
    return tries

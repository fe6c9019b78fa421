"""Generated projects whose models are evaluated without a database, and what is done with them."""

from __future__ import annotations

import gc
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
from sqlmesh import Context
from sqlmesh.core.snapshot import SnapshotEvaluator
from sqlmesh.utils import CompletionStatus

from benchmarks.projects.generated import ALL_DUE, NOTHING_DUE, Generated
from benchmarks.sandboxes import Subject
from benchmarks.timing.own_time import metered
from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    build_sqlmesh_schedule,
)
from tests.projects import at

Work = Callable[[], object]
Meter = Callable[[Work], float]
"""Does the work, and returns a figure of it."""


def seconds(work: Work) -> float:
    """The CPU time that it takes, of this process and of its children."""
    gc.collect()
    before = _cpu_time()
    work()
    return _cpu_time() - before


def _cpu_time() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak(work: Work) -> float:
    """How many MiB more than before Python has allocated meanwhile, at most."""
    gc.collect()
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


class Site:
    """A generated project. Its methods return what a meter returns for their work.

    Those for tracking return CPU seconds: its memory can't be separated from SQLMesh's.
    """

    def __init__(self, folder: Path, models: int) -> None:
        self._folder = folder
        self.models = models

    @cached_property
    def _project(self) -> Generated:
        return Generated(self._folder, self.models, tables=False)

    @cached_property
    def _loaded(self) -> Any:
        return self._project.loaded()

    # -- tracking and explaining -------------------------------------------------------------------

    @contextmanager
    def _due(self, failing: int = 0) -> Iterator[Context]:
        with at(ALL_DUE), self._project.copied(self._loaded) as context, evaluated(failing):
            yield context

    def tracking_idle(self) -> float:
        """The tracker's own CPU time in a run with nothing due."""
        context = self._project.fresh()
        with at(NOTHING_DUE), metered(context) as (own, _):
            context.run(skip_janitor=True)
        context.close()
        return own.seconds

    def tracking_due(self) -> float:
        """The tracker's own CPU time in a run with everything due."""
        with self._due() as context, metered(context) as (own, _):
            context.run(skip_janitor=True)
            return own.seconds

    def tracking_live(self) -> float:
        """The same with a callback for each executed model, as with Dagster's assets."""
        outcomes: list[object] = []
        with self._due() as context, metered(context, on_executed=outcomes.append) as (own, _):
            context.run(skip_janitor=True)
        assert len(outcomes) == self.models
        return own.seconds

    def explaining_idle(self, meter: Meter) -> float:
        """Reading the report of a run with nothing due."""
        context = self._project.fresh()
        with at(NOTHING_DUE), sqlmesh_run_tracker(context) as tracker:
            context.run(skip_janitor=True)
        context.close()
        return meter(lambda: tracker.last)

    def explaining(self, meter: Meter, failing: int = 0) -> float:
        """Reading the report of a run with everything due."""
        with self._due(failing) as context, sqlmesh_run_tracker(context) as tracker:
            context.run(skip_janitor=True)
        return meter(lambda: tracker.last)

    def report(self, failing: int = 0) -> RunReport:
        """The report of a run with everything due."""
        with self._due(failing) as context, sqlmesh_run_tracker(context) as tracker:
            context.run(skip_janitor=True)
        return tracker.last

    # -- sandboxes and Dagster ---------------------------------------------------------------------

    @cached_property
    def _subject(self) -> Subject:
        subject = Subject(self._folder, self._project._home, ALL_DUE)
        with evaluated(), without_tables():
            subject.template()
        return subject

    def sandbox(self, meter: Meter) -> float:
        """A sandbox's set-up and teardown, of a template that is planned."""
        return meter(self._subject.sandbox_now)

    @cached_property
    def _assets(self) -> dg.AssetsDefinition:
        project = SqlmeshProject(self._project._home)
        assert project.definition
        return build_sqlmesh_assets(project=project, name="warehouse")

    def loading(self, meter: Meter) -> float:
        """SQLMesh's own loading of the project, for comparison."""
        return meter(lambda: self._project.fresh().close())

    def definition(self, meter: Meter) -> float:
        """What Dagster's assets need of a project, which includes loading it."""
        return meter(lambda: SqlmeshProject(self._project._home).definition)

    def definitions(self, meter: Meter) -> float:
        """Dagster's definitions, of a project that is loaded."""
        project = SqlmeshProject(self._project._home)
        definition = project.definition
        assert definition

        def build() -> None:
            assets = build_sqlmesh_assets(project=project, name="warehouse")
            schedule = build_sqlmesh_schedule(assets, "* * * * *")
            resource = SqlmeshResource(project=project)
            dg.Definitions(
                assets=[assets], schedules=[schedule], resources={"sqlmesh": resource}
            ).get_repository_def()

        return meter(build)

    def tick(self, meter: Meter) -> float:
        """A tick of the due-only schedule with nothing due, in a process that is warm."""
        assets = self._assets
        resource = SqlmeshResource(project=SqlmeshProject(self._project._home))
        schedule = build_sqlmesh_schedule(assets, "* * * * *")
        repository = dg.Definitions(
            assets=[assets], schedules=[schedule], resources={"sqlmesh": resource}
        ).get_repository_def()
        with (
            at(NOTHING_DUE),
            dg.instance_for_test() as instance,
            dg.build_schedule_context(
                instance=instance, resources={"sqlmesh": resource}, repository_def=repository
            ) as context,
        ):
            return meter(lambda: schedule.evaluate_tick(context))


@contextmanager
def evaluated(failing: int = 0) -> Iterator[None]:
    """Models are evaluated without a database; the first ones fail."""

    def evaluate(_: Any, snapshot: Any, **__: Any) -> None:
        number = int(snapshot.name.rpartition("_")[2].strip('"'))
        if number < failing:
            raise ValueError("no rows today")

    with ExitStack() as patches:
        for method, instead in (
            ("evaluate", evaluate),
            ("audit", lambda *_, **__: []),
            ("get_snapshots_to_create", lambda *_, **__: []),
        ):
            patches.enter_context(patch.object(SnapshotEvaluator, method, instead))
        yield


@contextmanager
def without_tables() -> Iterator[None]:
    """Plans create neither tables nor views."""
    with ExitStack() as patches:
        for method in ("create", "promote"):
            idle = lambda *_, **__: CompletionStatus.SUCCESS  # noqa: E731
            patches.enter_context(patch.object(SnapshotEvaluator, method, idle))
        yield


def enlarged(report: RunReport, models: int) -> RunReport:
    """A report of this many models, made of copies of a smaller one's."""

    def named(name: str, copy: int) -> str:
        return name.replace("layer_", f"copy_{copy}_layer_") if copy else name

    outcomes = {}
    for number in range(-(-models // len(report.outcomes))):
        for outcome in report.outcomes.values():
            changes = {
                "name": named(outcome.name, number),
                "fqn": named(outcome.fqn, number),
                "upstream": tuple(named(each, number) for each in outcome.upstream),
                "blocked_by": tuple(named(each, number) for each in outcome.blocked_by),
            }
            outcomes[named(outcome.name, number)] = outcome.model_copy(update=changes)
    return report.model_copy(update={"outcomes": dict(list(outcomes.items())[:models])})

"""What a run costs as Dagster assets: against loading the project and `Context.run` alone.

Every comparison is made in rounds, with the bare run twice: what the second one "adds" (A/A) is the
noise that the figure of the assets (A/B) has to be read against. What Dagster alone takes to store
as many events is measured beside it.

    python -m benchmarks.dagster [--quick] [--only SECTION] [--rounds N] [--models N]
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from sqlmesh import Context
from sqlmesh.utils import CompletionStatus

from benchmarks.projects.generated import ALL_DUE, NOTHING_DUE, Generated
from benchmarks.timing.measures import Cost, added, cost, rounds_of, say, shown, verdict
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    build_sqlmesh_schedule,
)
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.messages import DueQuery, QueryMessage
from tests.projects import at

RATIO = 1.15
"""How many times as long as the bare run one as assets may take."""
TICK = 5.0
"""How many seconds a tick of the due-only schedule may take."""
PARTS = """
import json, sys, time
began = time.perf_counter()
times = {}

def done(part):
    global began
    now = time.perf_counter()
    times[part], began = now - began, now

from pytest_sqlmesh_tracker.tracking.project.opening import open_context
from pytest_sqlmesh_tracker.tracking.queries import due, planned
from pytest_sqlmesh_tracker.tracking.queries.messages import QueryMessage
done("imports")
message = QueryMessage.model_validate_json(sys.argv[1])
context = open_context(message.project, load=False)
done("the project, without its models")
planned.planned(context, message.query.environment)
done("the state's database, and the environment")
due.due(context, message.query)
done("computing what is due")
print(json.dumps(times))
"""
"""What a process does that answers what is due, in parts."""
INSTANCES: dict[str, Callable[[], AbstractContextManager[dg.DagsterInstance]]] = {
    "in memory": dg.DagsterInstance.ephemeral,
    "in SQLite": dg.instance_for_test,
}


@dataclass(frozen=True)
class Settings:
    """What to measure, and how often."""

    folder: Path
    models: int
    rounds: int


class Site:
    """A planned project, and its assets; each run is on a copy of the database."""

    def __init__(self, settings: Settings, moment: datetime, status: CompletionStatus) -> None:
        """Plan the project.

        Args:
            moment: when it runs.
            status: what SQLMesh returns then.
        """
        self._moment, self._status = moment, status
        self.models = settings.models
        self._home, self._database = _planned(settings, due=status is CompletionStatus.SUCCESS)
        self._project = project = SqlmeshProject(self._home)
        self.defining = cost(lambda: project.definition)
        self.assets = build_sqlmesh_assets(project=project, name="warehouse")
        self.resource = SqlmeshResource(project=project)

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        for file in self._home.glob("bench.db*"):
            file.unlink()
        shutil.copy(self._database, self._home / "bench.db")
        with at(self._moment):
            yield

    def bare(self) -> Cost:
        """Load the project, run it, close it."""

        def run() -> None:
            context = Context(paths=str(self._home))
            assert context.run() is self._status
            context.close()

        with self._fresh():
            return cost(run)

    def materialized(self, instance: dg.DagsterInstance) -> Cost:
        """Materialize all assets."""
        with self._fresh():
            return cost(lambda: materialize(self.assets, instance, self.resource))

    def ticked(self, instance: dg.DagsterInstance) -> float:
        """The seconds that a tick takes."""
        schedule = build_sqlmesh_schedule(self.assets, "* * * * *")
        repository = dg.Definitions(
            assets=[self.assets], schedules=[schedule], resources={"sqlmesh": self.resource}
        ).get_repository_def()
        began = time.perf_counter()
        with dg.build_schedule_context(
            instance=instance, resources={"sqlmesh": self.resource}, repository_def=repository
        ) as context:
            evaluated = schedule.evaluate_tick(context)
        requests = evaluated.run_requests
        due = len(requests[0].asset_selection or ()) if requests else 0
        assert due == (self.models if self._status is CompletionStatus.SUCCESS else 0)
        return time.perf_counter() - began

    def parts(self, rounds: int) -> dict[str, list[float]]:
        """Part of a tick → the seconds that it takes."""
        names = [model.fqn for model in self._project.definition.models]
        query = DueQuery(environment="prod", moment=self._moment, models=tuple(names))
        location = ProjectLocation(paths=(str(self._home),))
        message = QueryMessage(project=location, query=query).model_dump_json()
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            began = time.perf_counter()
            command = [sys.executable, "-c", PARTS, message]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            parts = json.loads(ran.stdout)
            rest = time.perf_counter() - began - sum(parts.values())
            for part, took in {**parts, "starting and ending a process": rest}.items():
                seconds.setdefault(part, []).append(took)
        return seconds

    def recorded(self, instance: dg.DagsterInstance) -> dg.AssetsDefinition:
        """Assets that yield the same events as those of this project, without SQLMesh."""
        with self._fresh():
            result = materialize(self.assets, instance, self.resource)
        made = {
            event.asset_key: event.step_materialization_data.materialization
            for event in result.get_asset_materialization_events()
        }
        evaluations = result.get_asset_check_evaluations()

        @dg.multi_asset(
            name="recorded",
            specs=list(self.assets.specs),
            check_specs=list(self.assets.check_specs),
            can_subset=True,
        )
        def recorded() -> Iterator[Any]:
            for key, materialization in made.items():
                yield dg.MaterializeResult(asset_key=key, metadata=materialization.metadata)
            for each in evaluations:
                yield dg.AssetCheckEvaluation(
                    asset_key=each.asset_key,
                    check_name=each.check_name,
                    passed=each.passed,
                    metadata=each.metadata,
                )

        return recorded


def _planned(settings: Settings, *, due: bool) -> tuple[Path, Path]:
    """The folder of a project, and a planned database for it: all of it due, or nothing."""
    project = Generated(settings.folder / str(due), settings.models, tables=True)
    home = project._home
    database = home.with_name("planned.db")
    shutil.copy(home.with_name("bench.db") if due else home / "bench.db", database)
    return home, database


def materialize(
    assets: dg.AssetsDefinition, instance: dg.DagsterInstance, resource: SqlmeshResource | None
) -> dg.ExecuteInProcessResult:
    """Run the assets in this process."""
    resources = {"sqlmesh": resource} if resource else {}
    result = dg.materialize([assets], resources=resources, instance=instance)
    assert result.success
    return result


@dg.asset
def empty() -> None:
    """What Dagster takes at least."""


def due(settings: Settings) -> bool:
    """Everything is due."""
    site = Site(settings, ALL_DUE, CompletionStatus.SUCCESS)
    say(f"\n== {site.models} models, everything due")
    say(f"  definitions  {site.defining.wall * 1000:9.3f} ms   once in each process")
    met = True
    for name, opened in INSTANCES.items():
        with opened() as instance:
            recorded = site.recorded(instance)
            ratio = _compare(name, settings.rounds, site, instance)
            _alone("Dagster alone, with as many events", recorded, instance)
            met &= verdict(f"as assets, {name}, to bare", ratio, RATIO, "times")
    return met


def idle(settings: Settings) -> bool:
    """Nothing is due: what is fixed."""
    site = Site(settings, NOTHING_DUE, CompletionStatus.NOTHING_TO_DO)
    say(f"\n== {site.models} models, nothing due")
    for name, opened in INSTANCES.items():
        with opened() as instance:
            site.materialized(instance)
            _compare(name, settings.rounds, site, instance)
            _alone("an empty asset", empty, instance)
            _alone("Dagster alone, with as many events", site.recorded(instance), instance)
    return True


def _compare(name: str, number: int, site: Site, instance: dg.DagsterInstance) -> float:
    """Print what the assets add to the bare run; the median of the ratio."""
    rounds = rounds_of(number, site.bare, lambda: site.materialized(instance))
    say(f"  Dagster's instance {name}: {number} rounds")
    say(f"    bare       {shown([r.bare.wall * 1000 for r in rounds], 'ms')}")
    say(f"    as assets  {shown([r.tracked.wall * 1000 for r in rounds], 'ms')}")
    for label, of in (("wall", lambda c: c.wall), ("CPU ", lambda c: c.cpu)):
        ab, aa = added(rounds, of)
        say(f"    {label} A/B   {shown(ab, '%', '+')}")
        say(f"    {label} A/A   {shown(aa, '%', '+')}")
    return statistics.median(r.tracked.wall / r.bare.wall for r in rounds)


def _alone(what: str, assets: dg.AssetsDefinition, instance: dg.DagsterInstance) -> None:
    """Print what Dagster takes without SQLMesh."""
    costs = [cost(lambda: materialize(assets, instance, None)) for _ in range(8)]
    say(f"    {what}: {shown([each.wall * 1000 for each in costs], 'ms')}")


def tick(settings: Settings) -> bool:
    """A tick of the due-only schedule: everything is due, or nothing."""
    met = True
    for what, moment, status in (
        ("everything due", ALL_DUE, CompletionStatus.SUCCESS),
        ("nothing due", NOTHING_DUE, CompletionStatus.NOTHING_TO_DO),
    ):
        site = Site(settings, moment, status)
        say(f"\n== {site.models} models, a tick of the due-only schedule: {what}")
        with dg.instance_for_test() as instance, site._fresh():
            seconds = [site.ticked(instance) for _ in range(settings.rounds)]
        say(f"  the tick  {shown([each * 1000 for each in seconds], 'ms')}")
        for part, took in site.parts(settings.rounds).items():
            say(f"    {part}: {shown([each * 1000 for each in took], 'ms')}")
        met &= verdict(f"a tick, {what}", statistics.median(seconds), TICK, "s")
    return met


SECTIONS: dict[str, Callable[[Settings], bool]] = {"due": due, "idle": idle, "tick": tick}


def main() -> int:
    """Measure what the command line asks for; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="What a run costs as Dagster assets.")
    parser.add_argument("--only", choices=SECTIONS, help="this section alone")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison")
    parser.add_argument("--models", type=int, default=200, help="models of the project")
    parser.add_argument("--quick", action="store_true", help="few rounds, a small project")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        models = min(options.models, 50) if options.quick else options.models
        rounds = options.rounds or (2 if options.quick else 12)
        settings = Settings(Path(folder), models, rounds)
        chosen = [options.only] if options.only else list(SECTIONS)
        met = [SECTIONS[name](settings) for name in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())

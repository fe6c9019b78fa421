"""A Dagster installation that keeps everything in PostgreSQL, and what is on record there.

One SQLMesh project has four environments. Its warehouse, its state and Dagster's storage are three
databases of one cluster; a test reads the first two without SQLMesh.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from shutil import copytree
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.sandbox.clusters.client import MAINTENANCE
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from tests.chapters import DOCS
from tests.dagster.sites import INSTANCE, SECONDS, YEARLY, Installation
from tests.postgres import rows_of
from tests.projects import Project

OWNER = "shop_owner"
ENVIRONMENTS = ("staging", "dev_anna", "dev_ben", "prod")
"""In the order in which they are planned."""
MODELS = ("orders", "totals", "stock")
DATABASES = ("warehouse", "state", "dagster")
MODEL_DEFAULTS = """
model_defaults: {dialect: postgres, start: 2020-01-01}
disable_anonymized_analytics: true
"""
STORAGE = """
storage:
  postgres:
    postgres_url: {env: DAGSTER_POSTGRES_URL}
"""
GATES = """
CREATE FUNCTION passes(gate INT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(gate); RETURN true; END $$
"""
"""A batch waits in it while a test has closed its gate."""
STOCK = 1
"""The gate of the stock; that of orders is the year."""
DEFINITIONS = """
import os
import dagster as dg
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject, SqlmeshResource, SqlmeshTranslator,
    build_sqlmesh_schedule, build_sqlmesh_sensor, sqlmesh_assets,
)

project = SqlmeshProject(os.environ["SITE"])
retries = dg.RetryPolicy(max_retries=int(os.environ.get("RETRIES", "0")))


class InEnvironment(SqlmeshTranslator):
    def __init__(self, environment):
        self.environment = environment

    def get_table_key(self, parts):
        return dg.AssetKey([self.environment, parts[-1]])


def assets_of(environment):
    @sqlmesh_assets(
        project=project,
        environment=environment,
        translator=InEnvironment(environment),
        name=f"warehouse_{environment}",
        retry_policy=retries,
        pool=os.environ.get("POOL"),
    )
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource):
        command = sqlmesh.plan if context.has_tag("deploy") else sqlmesh.run
        yield from command(context=context).stream()

    return warehouse


def definitions(*environments):
    all_assets = {environment: assets_of(environment) for environment in environments}
    schedules = dg.DefaultScheduleStatus[os.environ.get("SCHEDULES", "STOPPED")]
    sensors = dg.DefaultSensorStatus[os.environ.get("SENSORS", "STOPPED")]
    return dg.Definitions(
        assets=list(all_assets.values()),
        resources={"sqlmesh": SqlmeshResource(project=project)},
        executor=dg.multiprocess_executor,
        jobs=[
            dg.define_asset_job(name, selection=[assets]) for name, assets in all_assets.items()
        ],
        schedules=[
            build_sqlmesh_schedule(assets, "* * * * *", default_status=schedules)
            for assets in all_assets.values()
        ],
        sensors=[
            build_sqlmesh_sensor(assets, minimum_interval_seconds=1, default_status=sensors)
            for assets in all_assets.values()
        ],
    )
"""
LOCATION = """
from shop import definitions

defs = definitions({environments})
"""


@dataclass(frozen=True)
class OnRecord:
    """What is on record of a model in an environment: the years in which its intervals begin."""

    loaded: list[int]
    """In SQLMesh's state."""
    rows: list[int]
    """In the table of orders, which has one row for each year."""
    materialized: list[int]
    """In the materializations of Dagster's event log."""


YEARS = list(range(2020, datetime.now(timezone.utc).year))
GATE = 2023
"""A year whose gate is closed in tests: the batches of the other years are evaluated meanwhile."""
BESIDE = [year for year in YEARS if year != GATE]
"""The other years."""
NOTHING = OnRecord(loaded=[], rows=[], materialized=[])
COMPLETE = {
    "orders": OnRecord(loaded=YEARS, rows=YEARS, materialized=YEARS),
    "totals": OnRecord(loaded=YEARS, rows=[], materialized=YEARS),
    "stock": OnRecord(loaded=YEARS, rows=[], materialized=YEARS),
}
AT_THE_GATE = {
    **COMPLETE,
    "orders": OnRecord(loaded=BESIDE, rows=BESIDE, materialized=[]),
    "totals": NOTHING,
}
"""While one batch of orders waits: the others are committed, but the model is not finished."""
REPORTED = {**AT_THE_GATE, "orders": OnRecord(BESIDE, BESIDE, materialized=BESIDE)}
"""The sensor has added the batches of the model that is not finished."""
REPAIRED = {**COMPLETE, "orders": OnRecord(YEARS, YEARS, materialized=[GATE])}
"""Another run has loaded the rest."""


class Warehouse(Installation):
    """Four environments of a project."""

    def __init__(self, path: Path, databases: ClusterDatabases) -> None:
        super().__init__(Project(path))
        self.databases, self.cluster = databases, databases.cluster
        config = documented("config.yaml").replace("/var/cache/sqlmesh", str(path / ".cache"))
        self.project.write("config.yaml", config + MODEL_DEFAULTS)
        self.variables: dict[str, str] = {}
        """Those that the definitions read: RETRIES, POOL, SCHEDULES and SENSORS."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process of this site."""
        return {**super().environment, **self.variables}

    @contextmanager
    def copied(self, path: Path) -> Iterator[Warehouse]:
        """A copy in another folder, whose databases are dropped in the end."""
        copytree(self.path, path, dirs_exist_ok=True)
        for name in DATABASES:
            self.databases.copy(f"{name} of {self.path.name}", name)
        warehouse = Warehouse(path, self.databases)
        try:
            yield warehouse
        finally:
            # pytest shows it if the test has failed.
            print(warehouse.log)  # noqa: T201
            for name in DATABASES:
                self.databases.drop(name)

    # -- what happens ------------------------------------------------------------------------------

    def allow_one_run_at_a_time(self) -> None:
        """Put all environments into one pool, whose limit is 1."""
        self.variables["POOL"] = "sqlmesh_warehouse"
        with self.instance() as instance:
            instance.event_log_storage.set_concurrency_slots("sqlmesh_warehouse", 1)

    def run_to_its_end(self, environment: str) -> None:
        """Run an environment, with nothing in its way."""
        with self.execute(environment) as process:
            assert process.wait(SECONDS) == 0, self.log

    @contextmanager
    def closed(self, gate: int) -> Iterator[None]:
        """No batch passes the gate."""
        with closing(self.cluster.connect("warehouse", user=OWNER)) as connection:
            connection.cursor().execute("SELECT pg_advisory_lock(%s)", [gate])
            yield

    def waiting_at(self, gate: int) -> int:
        """How many batches wait at the gate, also those whose process has ended."""
        [(number,)] = self.query(
            "warehouse",
            "SELECT count(*) FROM pg_locks "
            "WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
            gate,
        )
        return int(number)

    @contextmanager
    def locked_event_log(self) -> Iterator[None]:
        """Dagster can read its events, and stores none."""
        with closing(self.cluster.connect("dagster")) as connection:
            connection.autocommit = False
            connection.cursor().execute("LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE")
            yield

    @contextmanager
    def without_event_log(self) -> Iterator[None]:
        """Nobody can connect to Dagster's database."""
        with closing(self.cluster.connect(MAINTENANCE)) as connection:
            cursor = connection.cursor()
            cursor.execute("ALTER DATABASE dagster ALLOW_CONNECTIONS false")
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dagster'"
            )
            try:
                yield
            finally:
                cursor.execute("ALTER DATABASE dagster ALLOW_CONNECTIONS true")

    def storing(self) -> list[int]:
        """The sessions of PostgreSQL that wait until they may store events."""
        waiting = "SELECT pid FROM pg_locks WHERE relation = 'event_logs'::regclass AND NOT granted"
        return [pid for (pid,) in self.query("dagster", waiting)]

    def step_processes(self, environment: str) -> list[int]:
        """The processes of the steps of an environment, the latest last."""
        started = dg.DagsterEventType.STEP_WORKER_STARTED
        with self.instance() as instance:
            events = [
                entry.dagster_event
                for run in self.runs()
                if run.job_name == environment
                for entry in instance.all_logs(run.run_id, of_type=started)
            ]
        return [
            int(str(event.engine_event_data.metadata["pid"].value)) for event in events if event
        ]

    def kill_step(self, environment: str, *, with_run: bool = False) -> None:
        """Kill the process of the latest step of an environment.

        Args:
            with_run: whether to kill the process of the run as well, as when a container ends.
        """
        step = self.step_processes(environment)[-1]
        if with_run:
            os.kill(_parent_of(step), signal.SIGKILL)
        os.kill(step, signal.SIGKILL)

    # -- witnesses ---------------------------------------------------------------------------------

    def on_record(self, environment: str) -> dict[str, OnRecord]:
        """What SQLMesh's state, the tables and Dagster have on record, each by itself."""
        return {
            model: OnRecord(
                self.loaded(environment, model),
                self.years_of_orders(environment) if model == "orders" else [],
                self.materialized(environment, model),
            )
            for model in MODELS
        }

    def loaded(self, environment: str, model: str) -> list[int]:
        """The years in SQLMesh's state."""
        [(snapshots,)] = self.query(
            "state", "SELECT snapshots FROM sqlmesh._environments WHERE name = %s", environment
        )
        [(name, version)] = [
            (each["name"], each["version"])
            for each in json.loads(snapshots)
            if each["name"].endswith(f'"{model}"')
        ]
        spans = self.query(
            "state",
            "SELECT start_ts, end_ts FROM sqlmesh._intervals "
            "WHERE name = %s AND version = %s AND NOT is_removed",
            name,
            version,
        )
        return sorted(year for span in spans for year in range(*map(_year, span)))

    def years_of_orders(self, environment: str) -> list[int]:
        """The years in the table of orders."""
        schema = "shop" if environment == "prod" else f"shop__{environment}"
        return sorted(
            ts.year for (ts,) in self.query("warehouse", f"SELECT ts FROM {schema}.orders")
        )

    def materialized(self, environment: str, model: str) -> list[int]:
        """The years in Dagster's event log."""
        key = dg.AssetKey([environment, model])
        with self.instance() as instance:
            records = instance.fetch_materializations(key, limit=100).records
        materializations = filter(None, (record.asset_materialization for record in records))
        outcomes: list[Any] = [each.metadata["sqlmesh/outcome"].value for each in materializations]
        spans = [span for outcome in outcomes for span in outcome["intervals"]]
        return sorted(
            year for span in spans for year in range(*(int(moment[:4]) for moment in span))
        )

    def query(self, database: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement as the cluster's superuser, and return the rows."""
        return rows_of(self.cluster, database, sql, *values)


def variables(cluster: Cluster) -> dict[str, str]:
    """The environment variables that the documented settings read."""
    where = f"host={cluster.host}&port={cluster.port}"
    return {
        "WAREHOUSE_HOST": cluster.host,
        "WAREHOUSE_PORT": str(cluster.port),
        "WAREHOUSE_USER": OWNER,
        "WAREHOUSE_PASSWORD": "unused",
        "DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://{OWNER}@/dagster?{where}",
    }


def documented(file: str) -> str:
    """A file in the chapter on several machines."""
    chapter = (DOCS / "dagster-distributed.md").read_text()
    [text] = re.findall(rf"^```\w+\n# {re.escape(file)}\n(.*?)^```$", chapter, re.M | re.S)
    return str(text)


def planned(path: Path, databases: ClusterDatabases, *, alike: bool) -> Warehouse:
    """Plan environments without loading anything, and make templates of the databases.

    Args:
        alike: whether the environments have the same versions of the models, and so share tables.
    """
    for name in DATABASES:
        databases.create(name, owner=OWNER)
    warehouse = Warehouse(path, databases)
    with closing(warehouse.cluster.connect("warehouse", user=OWNER)) as connection:
        connection.cursor().execute(GATES)
    project = warehouse.project
    project.write("shop.py", DEFINITIONS)
    locations = {"defs": ENVIRONMENTS, **{each: (each,) for each in ENVIRONMENTS}}
    for location, of_it in locations.items():
        names = ", ".join(map(repr, of_it))
        project.write(f"{location}.py", LOCATION.format(environments=names))
    warehouse.create_home(INSTANCE + STORAGE)
    project.model("shop.totals", "SELECT COUNT(*) AS n FROM shop.orders", **YEARLY)
    for environment in ENVIRONMENTS:
        version = "shared" if alike else environment
        _write_models(project, version)
        project.reload()
        project.context.plan(
            environment,
            auto_apply=True,
            no_prompts=True,
            skip_backfill=True,
            no_gaps=environment == "prod",
            include_unmodified=True,
        )
    project.close()
    for name in DATABASES:
        databases.make_template(name, f"{name} of {path.name}")
    return warehouse


def _write_models(project: Project, version: str) -> None:
    begin = "CAST(@start_dt AS TIMESTAMP)"
    gate = f"EXTRACT(YEAR FROM {begin})::INT"
    orders = f"SELECT {begin} AS ts, '{version}' AS version WHERE passes({gate})"
    project.incremental("shop.orders", orders, ", batch_size 1", **YEARLY)
    project.model("shop.stock", f"SELECT '{version}' AS version WHERE passes({STOCK})", **YEARLY)


def _year(milliseconds: int) -> int:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).year


def _parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])

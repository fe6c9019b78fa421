"""Which intervals that SQLMesh loaded outside of Dagster's runs the sensor reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import ProjectError
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    build_sqlmesh_sensor,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.automation import spans as arithmetic
from pytest_sqlmesh_tracker.dagster.automation.sensor import LoadedModels
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.events import earlier_events
from pytest_sqlmesh_tracker.dagster.events.earlier_events import latest_evaluation
from pytest_sqlmesh_tracker.dagster.events.outcome_record import (
    INTERVALS_LIMIT,
    OUTCOME,
    OutcomeRecord,
)
from pytest_sqlmesh_tracker.dagster.testing import bind
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.tracking.errors.types import BusyError
from tests.dagster.conftest import DAILY_ASSETS, NEXT_DAY, STORED, SUNDAY, facts
from tests.dagster.ticks import UNFINISHED

NOTED = "recorded what is loaded in prod: 6 models; later ticks materialize what is new"
NOTHING = "Dagster has materialized everything that is loaded in prod"
DOUBLED = "SELECT SUM(2 * amount) AS amount FROM shop.revenue"


class Sensor:
    """A sensor, and Dagster's daemon, that lets it look now and then."""

    def __init__(self, instance: dg.DagsterInstance, resource: Any, *assets: Any) -> None:
        self.instance, self.assets = instance, assets[0]
        self.sensor = build_sqlmesh_sensor(self.assets)
        self.definitions = dg.Definitions(
            assets=assets, sensors=[self.sensor], resources={"sqlmesh": resource}
        )
        self.repository = self.definitions.get_repository_def()
        self.cursor: str | None = None

    def look(self) -> Any:
        """One evaluation, without storing its results."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.repository,
            resources=self.repository.get_top_level_resources(),
        ) as context:
            return self.sensor.evaluate_tick(context)

    def tick(self) -> str:
        """A tick's skip message; stores its events and then its cursor, as the daemon does."""
        result = self.look()
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        return str(result.skip_message)

    def reported(self) -> dict[str, str]:
        """Asset → the intervals that a tick reported for it."""
        events = self.look().asset_events
        self.tick()
        return {e.asset_key.to_user_string(): facts(e)["sqlmesh/intervals"] for e in events}

    def run(self, *selection: str, **config: Any) -> dg.DagsterRun:
        """A run of Dagster, of all assets or of a selection."""
        keys = {dg.AssetKey.from_user_string(key) for key in selection} or self.assets.keys
        job = self.repository.get_job("__ASSET_JOB").get_subset(asset_selection=keys)
        ran = job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            run_config={"ops": {self.assets.op.name: {"config": config}}},
        )
        return ran.dagster_run

    def begin_run(self) -> dg.DagsterRun:
        """A run of Dagster that is under way, somewhere else."""
        job = self.repository.get_job("__ASSET_JOB")
        return self.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)

    def latest(self, key: str) -> dg.AssetMaterialization:
        """The asset's latest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey.from_user_string(key))
        assert event
        assert event.asset_materialization
        return event.asset_materialization


@pytest.fixture
def sensor(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> Sensor:
    """It has looked once."""
    made = Sensor(instance, bind(sqlmesh_project), warehouse)
    assert made.tick() == NOTED
    return made


# -- what is reported ------------------------------------------------------------------------------


def test_the_sensor_is_stopped_by_default(sensor: Sensor) -> None:
    assert sensor.sensor.name == "warehouse_outside"
    assert sensor.sensor.default_status is dg.DefaultSensorStatus.STOPPED


def test_intervals_loaded_before_the_first_tick_are_not_reported(sensor: Sensor) -> None:
    assert sensor.tick() == NOTHING
    assert not sensor.instance.all_asset_keys()


@pytest.mark.long
@STORED
def test_a_run_outside_of_dagster_is_reported_once(sqlmesh_project: Any, sensor: Sensor) -> None:
    sqlmesh_project.run(at=SUNDAY)
    result = sensor.look()
    orders = next(e for e in result.asset_events if e.asset_key == dg.AssetKey(["shop", "orders"]))
    assert orders.description == (
        "SQLMesh's state records 2024-01-05 .. 2024-01-06 as loaded in prod, but did not when this "
        "sensor last checked; Dagster has no materialization of it since then"
    )
    assert facts(orders) == {
        OUTCOME: {
            "schema_version": 1,
            "environment": "prod",
            "execution_time": None,
            "ignore_cron": False,
            "status": None,
            "reasons": [],
            "message": orders.description,
            "intervals": [["2024-01-05T00:00:00Z", "2024-01-07T00:00:00Z"]],
            "more_intervals": 0,
            "standing_failure": None,
        },
        "sqlmesh/environment": "prod",
        "sqlmesh/intervals": "2024-01-05 .. 2024-01-06",
        "sqlmesh/loaded_through": "2024-01-07T00:00:00+00:00",
        "sqlmesh/message": orders.description,
    }
    keys = [event.asset_key.to_user_string() for event in result.asset_events]
    assert sorted(keys) == [*DAILY_ASSETS, "shop/weekly"]
    assert keys.index("shop/orders") < keys.index("shop/revenue") < keys.index("shop/report")
    sensor.tick()
    assert sensor.tick() == NOTHING


def change(sqlmesh_project: Any) -> None:
    sqlmesh_project.write(
        "models/shop.report.sql", f"MODEL (name shop.report, kind FULL, cron '@daily');\n{DOUBLED}"
    )


def plan_it(sqlmesh_project: Any, _: Sensor) -> None:
    change(sqlmesh_project)
    sqlmesh_project.plan()


def load_it_in_dev_and_promote_it(sqlmesh_project: Any, sensor: Sensor) -> None:
    change(sqlmesh_project)
    sqlmesh_project.plan("dev")
    assert sensor.tick() == NOTHING
    assert not sqlmesh_project.plan().executed


def let_dagster_promote_it(sqlmesh_project: Any, sensor: Sensor) -> None:
    """The run correctly reports the model as skipped."""
    change(sqlmesh_project)
    sqlmesh_project.plan("dev")
    deploy(sqlmesh_project, sensor)


def deploy(sqlmesh_project: Any, sensor: Sensor) -> None:
    """Plan prod in a run of Dagster."""

    @sqlmesh_assets(project=SqlmeshProject(sqlmesh_project.path))
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Any:
        return sqlmesh.plan(context=context).stream()

    assert Sensor(sensor.instance, bind(sqlmesh_project), warehouse).run().is_success


@pytest.mark.long
@pytest.mark.parametrize(
    "happens", [plan_it, load_it_in_dev_and_promote_it, let_dagster_promote_it]
)
def test_a_new_version_is_reported_with_all_of_its_intervals(
    sqlmesh_project: Any, sensor: Sensor, happens: Callable[[Any, Sensor], None]
) -> None:
    happens(sqlmesh_project, sensor)
    (report,) = sensor.look().asset_events
    assert report.description == (
        "the model's version in prod changed after this sensor last checked; SQLMesh's state "
        "records 2024-01-01 .. 2024-01-04 of it as loaded; Dagster has no materialization of it "
        "since then"
    )
    assert sensor.reported() == {"shop/report": "2024-01-01 .. 2024-01-04"}
    # What it had before is another table.
    assert sensor.tick() == NOTHING


def test_an_added_and_a_removed_model(sqlmesh_project: Any, sensor: Sensor) -> None:
    (sqlmesh_project.path / "models" / "shop.till.sql").unlink()
    sqlmesh_project.context.load()
    sqlmesh_project.plan()
    assert sensor.tick() == NOTHING
    sqlmesh_project.write(
        "models/till.sql",
        "MODEL (name shop.till, kind FULL, cron '@daily');\nSELECT amount FROM raw.till",
    )
    sqlmesh_project.plan()
    (till,) = sensor.look().asset_events
    assert till.description.startswith(
        "the model was added to prod after this sensor last checked; "
    )


def test_a_model_that_becomes_an_asset_is_not_new(
    sqlmesh_project: Any, instance: dg.DagsterInstance, files: Any, sensor: Sensor
) -> None:
    project = SqlmeshProject(files)
    few = build_sqlmesh_assets(project=project, name="warehouse", select="shop.orders")
    before = Sensor(instance, bind(sqlmesh_project), few)
    before.tick()
    sensor.cursor = before.cursor
    assert sensor.tick() == NOTHING


@pytest.mark.long
def test_many_models_at_once(sqlmesh_project: Any, sensor: Sensor) -> None:
    for table in [f"shop.more_{number}" for number in range(6)]:
        model = f"MODEL (name {table}, kind FULL);\nSELECT 1 AS n"
        sqlmesh_project.write(f"models/{table}.sql", model)
    sqlmesh_project.plan()
    wider = build_sqlmesh_assets(project=SqlmeshProject(sqlmesh_project.path), name="warehouse")
    after = Sensor(sensor.instance, bind(sqlmesh_project), wider)
    after.cursor = sensor.cursor
    assert after.tick() == (
        "materialized 6 assets: shop/more_0, shop/more_1, shop/more_2, shop/more_3, shop/more_4 "
        "and 1 more"
    )


# -- what is not reported --------------------------------------------------------------------------


@pytest.mark.long
def test_intervals_that_a_dagster_run_reported_are_left_out(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    assert sensor.run().is_success
    assert sensor.tick() == NOTHING


@STORED
@pytest.mark.long
def test_only_intervals_that_no_dagster_run_reported_are_reported(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sensor.run("shop/orders")
    sqlmesh_project.run(at=SUNDAY)
    reported = sensor.reported()
    assert reported["shop/orders"] == "2024-01-06"
    assert reported["shop/revenue"] == "2024-01-05 .. 2024-01-06"


@pytest.mark.long
def test_only_intervals_of_a_new_version_that_dagster_did_not_load_are_reported(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    file = sqlmesh_project.path / "models" / "shop.orders.sql"
    sqlmesh_project.write("models/shop.orders.sql", file.read_text().replace("8 AS", "9 AS"))
    sqlmesh_project.plan("dev")
    sqlmesh_project.travel(NEXT_DAY)
    deploy(sqlmesh_project, sensor)
    assert sensor.reported()["shop/orders"] == "2024-01-01 .. 2024-01-04"


@pytest.mark.long
def test_a_failure_in_the_middle_is_not_a_materialization(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    """What a batch of it loaded is on record in its check; outside of Dagster the rest is done."""
    sqlmesh_project.travel(SUNDAY)
    sqlmesh_project.fail("shop.orders", batch=1, times=1)
    sensor.run("shop/orders")
    assert sensor.tick() == NOTHING
    sqlmesh_project.run()
    assert sensor.reported()["shop/orders"] == "2024-01-06"


@pytest.mark.long
def test_intervals_that_are_reloaded_between_two_ticks(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    """The state looks as before: it can't be known."""
    assert "shop.orders" in sqlmesh_project.plan(restate_models=["shop.orders"]).executed
    assert sensor.tick() == NOTHING


@pytest.mark.long
def test_intervals_that_were_removed_at_a_tick(sqlmesh_project: Any, sensor: Sensor) -> None:
    """Dagster's earlier materializations do not matter: they were loaded anew."""
    sqlmesh_project.travel(NEXT_DAY)
    sensor.run()
    context = sqlmesh_project.context
    (orders,) = (s for name, s in context.snapshots.items() if name.endswith('"orders"'))
    removed = tuple(round(moment.timestamp() * 1000) for moment in (day(5), day(6)))
    versions = set()
    for _ in range(2):
        context.state_sync.remove_intervals([(orders, removed)])
        assert sensor.tick() == NOTHING
        sqlmesh_project.run()
        assert sensor.reported() == {"shop/orders": "2024-01-05"}
        versions |= set((sensor.latest("shop/orders").tags or {}).items())
    assert len(versions) == 2


@pytest.mark.long
def test_a_plan_that_is_being_applied(sqlmesh_project: Any, sensor: Sensor) -> None:
    """The environment's tables are not settled before the plan ends."""
    sqlmesh_project.run(at=NEXT_DAY)
    sqlmesh_project.execute(
        "CREATE TABLE kept AS SELECT finalized_ts FROM sqlmesh._environments;"
        "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = '1a2b3c4d5e'"
    )
    assert sensor.tick() == UNFINISHED
    sqlmesh_project.execute(
        "UPDATE sqlmesh._environments SET finalized_ts = (SELECT ANY_VALUE(finalized_ts) FROM kept)"
    )
    assert "shop/orders" in sensor.reported()


@pytest.mark.long
def test_intervals_that_another_sensor_reported(sqlmesh_project: Any, sensor: Sensor) -> None:
    other = Sensor(sensor.instance, bind(sqlmesh_project), sensor.assets)
    other.tick()
    sqlmesh_project.run(at=NEXT_DAY)
    assert sensor.reported()
    assert other.tick() == NOTHING


@pytest.mark.long
@STORED
def test_events_stored_before_the_cursor_are_not_repeated(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    sqlmesh_project.run(at=NEXT_DAY)
    cursor = sensor.cursor
    assert sorted(sensor.reported()) == DAILY_ASSETS
    sensor.cursor = cursor
    assert sensor.tick() == NOTHING


# -- what waits ------------------------------------------------------------------------------------


@pytest.mark.long
def test_an_unfinished_dagster_run_reports_its_own_intervals(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    """A killed run does not: what it had loaded is reported once Dagster notices."""
    run = sensor.begin_run()
    sqlmesh_project.run(at=NEXT_DAY)
    assert sensor.tick() == f"run {run.run_id[:8]} of prod is not finished"
    sensor.instance.report_run_failed(run)
    assert sorted(sensor.reported()) == DAILY_ASSETS


class Answering(SqlmeshResource):
    """A resource that answers what a test says."""

    def ask(self, *_: Any, **__: Any) -> Any:
        return self._bound_to()


def answering(sensor: Sensor, answer: Callable[[], Any]) -> Sensor:
    resource = Answering(project=SqlmeshProject("a_folder_that_is_not_read"))
    resource._bound_to = answer
    made = Sensor(
        sensor.instance, dg.ResourceDefinition.hardcoded_resource(resource), sensor.assets
    )
    made.cursor = sensor.cursor
    return made


def test_a_dagster_run_that_starts_while_sqlmesh_is_queried(sensor: Sensor) -> None:
    def begin() -> dict[str, Any]:
        sensor.begin_run()
        return {}

    late = answering(sensor, begin)
    assert late.tick().endswith(" of prod is not finished")
    assert late.cursor == sensor.cursor


def test_a_database_locked_by_another_process(sensor: Sensor) -> None:
    def busy() -> None:
        raise BusyError("Could not set lock on file")

    message = "what is loaded in prod is unknown: another process has locked the database"
    waiting = answering(sensor, busy)
    assert waiting.tick() == message
    assert waiting.cursor == sensor.cursor


def test_an_environment_that_is_not_planned(
    sqlmesh_project: Any, instance: dg.DagsterInstance, files: Any
) -> None:
    dev = build_sqlmesh_assets(project=SqlmeshProject(files), environment="dev")
    sensor = Sensor(instance, bind(sqlmesh_project), dev)
    words = r"environment dev of .* has not been planned yet; create .* \(environments: prod\)"
    with pytest.raises(ProjectError, match=words):
        sensor.tick()
    sqlmesh_project.plan("dev", include_unmodified=True)
    assert sensor.tick() == NOTED.replace("prod", "dev")


@pytest.mark.parametrize("cursor", ["", "what somebody wrote", "eyJub3QiOiBvdXJzfQ=="])
def test_an_invalid_cursor(sensor: Sensor, cursor: str) -> None:
    sensor.cursor = cursor
    assert sensor.tick() == NOTED


@pytest.mark.parametrize("facts", [{"environment": "dev"}, {"log_position": 10**9}, {"layout": 2}])
def test_a_cursor_of_another_environment_event_log_or_layout(
    sensor: Sensor, facts: dict[str, Any]
) -> None:
    """Of another environment, of an event log that no longer exists, of another package version."""
    look = LoadedModels.of_cursor(sensor.cursor)
    assert look
    sensor.cursor = look.model_copy(update=facts).cursor
    assert sensor.tick() == NOTED


def test_a_cursor_fits_into_every_database_that_dagster_supports(sensor: Sensor) -> None:
    """MySQL takes 64 KiB of a tick."""
    look = LoadedModels.of_cursor(sensor.cursor)
    assert look
    (orders, *_) = look.models.values()
    names = [f'"warehouse"."schema_{n % 9}"."model_{n}"' for n in range(2000)]
    models = {
        name: orders.model_copy(update={"version": str(hash(name) % 2**32)}) for name in names
    }
    assert len(look.model_copy(update={"models": models}).cursor) < 48_000


# -- what Dagster makes of it ----------------------------------------------------------------------


@pytest.mark.long
def test_downstream_assets_are_requested(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> None:
    eager = dg.AutomationCondition.eager()

    @dg.asset(deps=[["shop", "report"]], automation_condition=eager)
    def dashboard() -> None:
        """Below SQLMesh."""

    sensor = Sensor(instance, bind(sqlmesh_project), warehouse, dashboard)
    sensor.tick()
    evaluation: Any = None
    for moment, requested in ((None, 0), (NEXT_DAY, 1), (None, 0), (SUNDAY, 1)):
        if moment:
            sqlmesh_project.run(at=moment)
            sensor.tick()
        evaluation = dg.evaluate_automation_conditions(
            defs=sensor.definitions,
            asset_selection=dg.AssetSelection.assets("dashboard"),
            instance=instance,
            cursor=evaluation and evaluation.cursor,
        )
        assert evaluation.total_requested == requested


@pytest.mark.long
def test_each_materialization_has_another_data_version(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    """Nothing is reported about its code: Dagster's definitions do not know what was planned."""
    versions = []
    for moment in (NEXT_DAY, SUNDAY):
        sqlmesh_project.run(at=moment)
        sensor.tick()
        (tag,) = (sensor.latest("shop/orders").tags or {}).items()
        versions.append(tag)
    assert {name for name, _ in versions} == {"dagster/data_version"}
    assert len(set(versions)) == 2


@STORED
@pytest.mark.long
def test_a_failure_that_is_resolved_outside_of_dagster(
    sqlmesh_project: Any, sensor: Sensor
) -> None:
    """Its check says so with the next run, not before."""
    check = dg.AssetCheckKey(dg.AssetKey(["shop", "orders"]), STATUS_CHECK)

    def passed() -> bool:
        evaluation = latest_evaluation(sensor.instance, check)
        assert evaluation
        return evaluation.passed

    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    sensor.run()
    sqlmesh_project.run()
    assert sensor.reported()["shop/orders"] == "2024-01-05"
    assert not passed()
    sensor.run()
    assert passed()
    assert sensor.tick() == NOTHING


# -- records ---------------------------------------------------------------------------------------

ORDERS = dg.AssetKey(["shop", "orders"])


def on_record(instance: dg.DagsterInstance, after: int = 0) -> list[Interval]:
    return list(earlier_events.recorded_intervals(instance, ORDERS, "Dev-1", after=after))


def store(instance: dg.DagsterInstance, *intervals: Interval, environment: str = "dev_1") -> None:
    record = OutcomeRecord(environment=environment, message="executed").with_intervals(intervals)
    event = dg.AssetMaterialization(ORDERS, metadata=record.metadata)
    instance.report_runless_asset_event(event)


def day(number: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, 1, number, hour, minute, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "intervals",
    [
        [Interval(day(1), day(2))],
        [Interval(day(1), day(9))],
        [Interval(day(1, 10), day(1, 11, 5))],
        [Interval(day(1, 23), day(2))],
        [Interval(day(1), day(1, 1)), Interval(day(3), day(5)), Interval(day(6, 1), day(8, 2))],
    ],
)
def test_a_record_reads_as_it_was_written(
    instance: dg.DagsterInstance, intervals: list[Interval]
) -> None:
    store(instance, *intervals)
    assert on_record(instance) == intervals


@STORED
def test_a_truncated_record_stands_for_all_intervals(instance: dg.DagsterInstance) -> None:
    minutes = [Interval(day(1, 0, number), day(1, 1, number)) for number in range(60)]
    store(instance, *minutes, *minutes[: INTERVALS_LIMIT - 59])
    recorded = map(arithmetic.span_of, on_record(instance))
    assert not arithmetic.without([(0, 10**14)], recorded)


def test_a_record_of_another_schema_version_is_ignored(instance: dg.DagsterInstance) -> None:
    for value in (dg.MetadataValue.json({"schema_version": 2}), "2024-01-01"):
        event = dg.AssetMaterialization(ORDERS, metadata={OUTCOME: value})
        instance.report_runless_asset_event(event)
    assert on_record(instance) == []


@STORED
def test_records_are_filtered_by_environment_and_time(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_events, "_PAGE", 1)
    store(instance, Interval(day(1), day(2)))
    after = instance.event_log_storage.get_maximum_record_id()
    store(instance, Interval(day(2), day(3)))
    store(instance, Interval(day(3), day(4)), environment="prod")
    store(instance, Interval(day(4), day(5)))
    instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS))
    assert on_record(instance, after or 0) == [
        Interval(day(4), day(5)),
        Interval(day(2), day(3)),
    ]


def test_intervals_are_rounded_to_minutes() -> None:
    """SQLMesh loads some models up to the moment."""
    assert arithmetic.by_the_minute([(30_000, 90_500), (120_000, 150_000)]) == ((0, 60_000),)


def test_assets_of_other_functions_are_rejected() -> None:
    @dg.asset
    def other() -> None:
        """Not one of the package's."""

    with pytest.raises(
        dg.DagsterInvalidDefinitionError, match="build_sqlmesh_sensor requires assets"
    ):
        build_sqlmesh_sensor(other)

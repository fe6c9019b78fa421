"""What a plan of edited files would do to the schedule, without applying it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker import Forecast
from pytest_sqlmesh_tracker.forecast.dry.context import dry_context
from pytest_sqlmesh_tracker.forecast.dry.local import forecast_with_local
from pytest_sqlmesh_tracker.forecast.results import LocalForecast
from tests.projects import Project, at, read_between, rows_every

NOW = "2024-01-08 09:05"


def utc(time: str) -> datetime:
    return datetime.fromisoformat(time).replace(tzinfo=timezone.utc)


@pytest.fixture
def desk(project: Project) -> Project:
    """Two models that are loaded every day, and a weekly one that reads all of the second."""
    project.incremental("desk.calls", rows_every("1 hour"), cron="'0 6 * * *'")
    project.incremental("desk.daily", read_between("desk.calls"), cron="'@daily'")
    project.model("desk.weekly", "SELECT COUNT(*) AS n FROM desk.daily", cron="'@weekly'")
    project.plan_once(NOW)
    return project


def forecast(project: Project, environment: str = "prod", now: str = NOW) -> Forecast:
    """Until two weeks after the project was planned, of the files as they are now."""
    context, until = project.context, utc("2024-01-22 09:05")
    with at(now), dry_context(context, paths=str(project.path)) as dry:
        dry.load()
        return forecast_with_local(context, dry, environment, at=utc(now), until=until)


def local(project: Project, environment: str = "prod") -> LocalForecast:
    compared = forecast(project, environment).local
    assert compared is not None
    return compared


def test_nothing_changes_without_an_edit(desk: Project) -> None:
    forecasted = forecast(desk)
    assert forecasted.assumptions[1] == (
        "The environment is run at each moment at which something becomes due."
    )
    compared = forecasted.local
    assert compared is not None
    assert compared.plan.fails is None
    assert not compared.plan.backfills
    assert compared.per_week == {"desk.calls": (7, 7), "desk.daily": (7, 7), "desk.weekly": (1, 1)}
    assert compared.ticks_lost == compared.ticks_new == {}
    assert not compared.never
    assert not compared.less_often


def test_a_cron_that_ticks_less_often(desk: Project) -> None:
    desk.incremental("desk.calls", rows_every("1 hour"), cron="'0 6 * * 1-5'")
    compared = local(desk)
    assert compared.plan.categories == {"desk.calls": "metadata"}
    assert compared.per_week["desk.calls"] == (7, 5)
    assert compared.less_often == ["desk.calls"]
    weekend = ["2024-01-13 06:00", "2024-01-14 06:00", "2024-01-20 06:00", "2024-01-21 06:00"]
    assert list(compared.ticks_lost["desk.calls"]) == [utc(time) for time in weekend]
    assert not compared.ticks_new


def test_a_change_of_a_query_is_loaded_again(desk: Project) -> None:
    desk.incremental("desk.calls", rows_every("2 hours"), cron="'0 6 * * *'")
    compared = local(desk)
    assert compared.plan.categories["desk.calls"] in ("breaking", "non_breaking")
    assert compared.plan.backfills["desk.calls"] == ((utc("2024-01-01"), utc("2024-01-08")),)


def test_models_that_are_added_and_removed(desk: Project) -> None:
    (desk.path / "models/desk.weekly.sql").unlink()
    desk.incremental("desk.hourly", read_between("desk.calls"), cron="'@hourly'")
    compared = local(desk)
    assert compared.per_week["desk.weekly"] == (1, None)
    assert compared.per_week["desk.hourly"] == (None, 168)
    # A plan loads no further than its environment has got.
    assert compared.plan.backfills["desk.hourly"] == ((utc("2024-01-01"), utc("2024-01-08")),)


def test_a_model_that_has_ended_never_runs(desk: Project) -> None:
    ended = {"cron": "'@daily'", "start": "'2024-01-01'", "end": "'2024-01-04'"}
    desk.incremental("desk.daily", read_between("desk.calls"), **ended)
    compared = local(desk)
    assert compared.never == ("desk.daily",)
    assert compared.less_often == ["desk.daily"]


def test_an_end_that_moves_with_the_clock(desk: Project) -> None:
    until = {"cron": "'@daily'", "start": "'2024-01-01'", "end": "'2 days ago'"}
    desk.incremental("desk.daily", read_between("desk.calls"), **until)
    compared = local(desk)
    assert compared.never == ()
    # It has been loaded for three days that it then leaves out.
    assert compared.ticks_new == {}
    assert compared.ticks_lost["desk.daily"] == (utc("2024-01-09"), utc("2024-01-10"))


def test_a_restatement_that_was_due_at_the_beginning(desk: Project) -> None:
    weekly = ", auto_restatement_cron '@weekly', auto_restatement_intervals 3"
    desk.incremental("desk.daily", read_between("desk.calls"), weekly, cron="'0 6 * * *'")
    with at("2024-01-13 09:05"):
        desk.reload()
        desk.plan(run=True)
    sunday, hours = utc("2024-01-14 00:30"), (1, 7)
    week = [sunday.replace(minute=0) + timedelta(days=d, hours=h) for d in range(7) for h in hours]
    with at("2024-01-14 00:30"), dry_context(desk.context, paths=str(desk.path)) as dry:
        dry.load()
        until = sunday + timedelta(days=7)
        forecasted = forecast_with_local(
            desk.context, dry, "prod", at=sunday, until=until, times=week
        )
    assert forecasted.ticks("desk.daily")[:2] == week[:2], "restated, and then loaded"
    assert forecasted.local is not None
    assert forecasted.local.per_week["desk.daily"] == (7, 7), "what was overdue does not count"


def test_a_plan_that_fails(desk: Project) -> None:
    desk.model("desk.later", "SELECT 1 AS id", cron="'@weekly'", start="'2024-01-08'")
    desk.model("desk.reader", "SELECT id FROM desk.later", cron="'@daily'")
    forecasted = forecast(desk)
    compared = forecasted.local
    assert compared is not None
    assert forecasted.ticks("desk.daily")
    with at(NOW):
        desk.reload()
        completion = desk.plan().completion
    if completion == "success":
        # Early versions of SQLMesh create the tables of all models first.
        assert compared.plan.fails is None
        assert compared.never == ()
    else:
        assert compared.plan.fails == (
            "desk.reader failed: its evaluation raised SQLMeshError: desk.later has no table yet, "
            "since nothing of it is loaded"
        )
        assert compared.after is None


def test_a_dry_run_can_not_use_a_database(desk: Project) -> None:
    with dry_context(desk.context, paths=str(desk.path)) as dry:
        dry.load()
        with pytest.raises(SQLMeshError, match="a dry run must not use a database"):
            dry.snapshot_evaluator.adapter.execute("SELECT 1")


def test_nothing_is_written(desk: Project) -> None:
    desk.incremental("desk.calls", rows_every("2 hours"), cron="'0 6 * * *'")
    before = desk.intervals()
    desk.close()
    files = _digests(desk.path)
    forecast(desk)
    assert desk.intervals() == before
    desk.close()
    assert {name: files.get(name) for name in _digests(desk.path) if name.startswith("models")} == {
        name: digest for name, digest in files.items() if name.startswith("models")
    }


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_an_environment_other_than_prod(desk: Project) -> None:
    with at(NOW):
        desk.plan("dev", include_unmodified=True)
    desk.incremental("desk.calls", rows_every("2 hours"), cron="'0 6 * * *'")
    compared = local(desk, "dev")
    assert compared.plan.backfills["desk.calls"] == ((utc("2024-01-01"), utc("2024-01-08")),)
    assert compared.after is not None
    assert compared.after.environment == "dev"


def test_an_environment_that_would_expire_before_the_plan_renews_it(desk: Project) -> None:
    with at(NOW):
        desk.plan("dev", include_unmodified=True)
    desk.incremental("desk.calls", rows_every("2 hours"), cron="'0 6 * * *'")
    forecasted = forecast(desk, "dev", now="2024-01-14 09:05")
    compared = forecasted.local
    assert compared is not None
    assert forecasted.until == utc("2024-01-15")
    assert compared.per_week["desk.daily"] == (7, 7)
    assert not compared.ticks_new
    assert not compared.less_often


def test_as_json(desk: Project) -> None:
    desk.incremental("desk.calls", rows_every("1 hour"), cron="'0 6 * * 1-5'")
    document = forecast(desk).to_dict()["local"]
    assert document["plan"]["fails"] is None
    assert document["per_week"]["desk.calls"] == [7, 5]
    assert document["ticks_lost"]["desk.calls"][0] == "2024-01-13T06:00:00+00:00"
    assert document["never"] == []

"""Dagster asks for a model at each tick of its cron: whatever is upstream, and once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import build_sqlmesh_assets
from tests.dagster.models import load, model, project


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Daemon:
    """Dagster's automation, that looks at one project's assets now and then."""

    def __init__(self, instance: dg.DagsterInstance, *models: Any) -> None:
        self._definitions = load(build_sqlmesh_assets(project=project(*models)))
        self._instance = instance
        self._cursor: Any = None

    def begin_run(self) -> dg.DagsterRun:
        """A run of all assets, that is under way."""
        job = self._definitions.get_repository_def().get_job("__ASSET_JOB")
        return self._instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)

    def at(self, moment: str, zone: str = "UTC") -> set[str]:
        """The assets that it asks for at that time."""
        looked = dg.evaluate_automation_conditions(
            defs=self._definitions,
            instance=self._instance,
            evaluation_time=datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)),
            asset_selection=dg.AssetSelection.all(),
            cursor=self._cursor,
        )
        self._cursor = looked.cursor
        keys = [result.key for result in looked.results if result.true_subset.size]
        return {key.to_user_string() for key in keys if isinstance(key, dg.AssetKey)}


def test_a_daily_model_is_asked_for_daily_below_a_weekly_one(
    instance: dg.DagsterInstance,
) -> None:
    daemon = Daemon(
        instance, model("shop.weekly", cron="@weekly"), model("shop.daily", "shop.weekly")
    )
    assert daemon.at("2024-01-04 23:50") == set()
    assert daemon.at("2024-01-05 00:01") == {"shop/daily"}
    assert daemon.at("2024-01-05 00:02") == set()
    assert daemon.at("2024-01-06 00:01") == {"shop/daily"}
    # The 7th is a Sunday.
    assert daemon.at("2024-01-07 00:01") == {"shop/daily", "shop/weekly"}


def test_an_hourly_model_is_asked_for_hourly(instance: dg.DagsterInstance) -> None:
    daemon = Daemon(instance, model("shop.hourly", cron="@hourly"), model("shop.daily"))
    assert daemon.at("2024-01-05 10:59") == set()
    assert daemon.at("2024-01-05 11:01") == {"shop/hourly"}
    assert daemon.at("2024-01-05 11:59") == set()
    assert daemon.at("2024-01-05 12:01") == {"shop/hourly"}


def test_a_cron_ticks_in_its_own_time_zone(instance: dg.DagsterInstance) -> None:
    five = {"cron": "0 5 * * *"}
    daemon = Daemon(
        instance, model("shop.utc", **five), model("shop.local", **five, cron_tz="Asia/Tokyo")
    )
    assert daemon.at("2024-01-05 04:59", "Asia/Tokyo") == set()
    assert daemon.at("2024-01-05 05:01", "Asia/Tokyo") == {"shop/local"}
    assert daemon.at("2024-01-05 05:01") == {"shop/utc"}


def test_a_tick_during_a_run_waits_for_its_end(instance: dg.DagsterInstance) -> None:
    daemon = Daemon(instance, model("shop.hourly", cron="@hourly"))
    assert daemon.at("2024-01-05 10:59") == set()
    run = daemon.begin_run()
    assert daemon.at("2024-01-05 11:01") == set()
    instance.report_run_canceled(run)
    assert daemon.at("2024-01-05 11:02") == {"shop/hourly"}
    assert daemon.at("2024-01-05 11:03") == set()


def test_what_was_materialized_since_the_tick_is_asked_for_nevertheless(
    instance: dg.DagsterInstance,
) -> None:
    # The run can have begun before the tick; and if there is nothing left, SQLMesh knows.
    daemon = Daemon(instance, model("shop.hourly", cron="@hourly"))
    assert daemon.at("2024-01-05 10:59") == set()
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "hourly"]))
    assert daemon.at("2024-01-05 11:01") == {"shop/hourly"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"kind": "seed"}, "no run loads a seed again"),
        ({"cron": "0 0 * * * 30"}, "Dagster knows no seconds"),
        ({"cron": "0 0 30 2 *"}, "the day never comes"),
    ],
)
def test_a_model_without_a_schedule_that_dagster_could_keep_has_none(
    facts: dict[str, str], why: str
) -> None:
    assets = build_sqlmesh_assets(project=project(model("shop.orders", **facts)))
    load(assets)
    (spec,) = assets.specs
    assert spec.automation_condition is None, why

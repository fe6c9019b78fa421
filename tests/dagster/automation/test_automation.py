"""Dagster requests a model once at each tick of its cron, regardless of upstream models."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import build_sqlmesh_assets
from tests.dagster.daemons import Daemon
from tests.dagster.models import load, model, project


def daemon_of(instance: dg.DagsterInstance, *models: Any) -> Daemon:
    """Dagster's automation, for the assets of one project."""
    return Daemon(instance, load(build_sqlmesh_assets(project=project(*models))))


@pytest.mark.long
def test_a_daily_model_is_requested_daily_downstream_of_a_weekly_one(
    instance: dg.DagsterInstance,
) -> None:
    daemon = daemon_of(
        instance, model("shop.weekly", cron="@weekly"), model("shop.daily", "shop.weekly")
    )
    assert daemon.look("2024-01-04 23:50") == set()
    assert daemon.look("2024-01-05 00:01") == {"shop/daily"}
    assert daemon.look("2024-01-05 00:02") == set()
    assert daemon.look("2024-01-06 00:01") == {"shop/daily"}
    # The 7th is a Sunday.
    assert daemon.look("2024-01-07 00:01") == {"shop/daily", "shop/weekly"}


def test_an_hourly_model_is_requested_hourly(instance: dg.DagsterInstance) -> None:
    daemon = daemon_of(instance, model("shop.hourly", cron="@hourly"), model("shop.daily"))
    assert daemon.look("2024-01-05 10:59") == set()
    assert daemon.look("2024-01-05 11:01") == {"shop/hourly"}
    assert daemon.look("2024-01-05 11:59") == set()
    assert daemon.look("2024-01-05 12:01") == {"shop/hourly"}


def test_a_cron_ticks_in_its_own_time_zone(instance: dg.DagsterInstance) -> None:
    five = {"cron": "0 5 * * *"}
    daemon = daemon_of(
        instance, model("shop.utc", **five), model("shop.local", **five, cron_tz="Asia/Tokyo")
    )
    assert daemon.look("2024-01-05 04:59", "Asia/Tokyo") == set()
    assert daemon.look("2024-01-05 05:01", "Asia/Tokyo") == {"shop/local"}
    assert daemon.look("2024-01-05 05:01") == {"shop/utc"}


def test_a_tick_during_a_run_waits_for_its_end(instance: dg.DagsterInstance) -> None:
    daemon = daemon_of(instance, model("shop.hourly", cron="@hourly"))
    assert daemon.look("2024-01-05 10:59") == set()
    run = daemon.begin_run()
    assert daemon.look("2024-01-05 11:01") == set()
    instance.report_run_canceled(run)
    assert daemon.look("2024-01-05 11:02") == {"shop/hourly"}
    assert daemon.look("2024-01-05 11:03") == set()


def test_an_asset_that_was_materialized_since_the_tick_is_still_requested(
    instance: dg.DagsterInstance,
) -> None:
    # The run can have begun before the tick; and if there is nothing left, SQLMesh knows.
    daemon = daemon_of(instance, model("shop.hourly", cron="@hourly"))
    assert daemon.look("2024-01-05 10:59") == set()
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "hourly"]))
    assert daemon.look("2024-01-05 11:01") == {"shop/hourly"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"kind": "seed"}, "no run loads a seed again"),
        ({"cron": "0 0 * * * 30"}, "Dagster knows no seconds"),
        ({"cron": "0 0 30 2 *"}, "the day never comes"),
    ],
)
def test_a_model_whose_cron_dagster_does_not_support_has_no_condition(
    facts: dict[str, str], why: str
) -> None:
    assets = build_sqlmesh_assets(project=project(model("shop.orders", **facts)))
    load(assets)
    (spec,) = assets.specs
    assert spec.automation_condition is None, why

"""The assets of other ops between the models of an op, and which of them a schedule requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import build_sqlmesh_assets, build_sqlmesh_schedule
from pytest_sqlmesh_tracker.dagster.definitions.intermediates import IntermediateAssets
from tests.dagster.models import load, model, project

SHOP = project(
    model("s.orders"),
    model("s.priced", "raw.rates", "s.orders"),
    model("s.ranked", "raw.scores", "s.priced"),
    outside={"raw.rates": ("raw", "rates"), "raw.scores": ("raw", "scores")},
)
ALL = "s/orders", "s/priced", "s/ranked"
DAYS = dg.DailyPartitionsDefinition("2024-01-01")
HOURS = dg.HourlyPartitionsDefinition("2024-01-01-00:00")


def of(*others: Any) -> IntermediateAssets:
    """What lies between the shop's assets in a code location that also has these."""
    warehouse = build_sqlmesh_assets(project=SHOP, name="warehouse")
    graph = load(warehouse, *others).get_repository_def().asset_graph
    return IntermediateAssets(graph, frozenset(warehouse.keys))


def asset(key: str, *deps: str, **arguments: Any) -> dg.AssetsDefinition:
    reads = [dg.AssetKey.from_user_string(dep) for dep in deps]
    make = dg.asset(key=dg.AssetKey.from_user_string(key), deps=reads, **arguments)
    made: dg.AssetsDefinition = make(lambda: None)
    return made


def names(keys: Any) -> list[str]:
    return sorted(key.to_user_string() for key in keys)


RATES = asset("raw/rates", "s/orders")
SCORES = asset("raw/scores", "s/priced")


class TestIntermediates:
    def test_an_asset_between_two_models(self) -> None:
        between = of(RATES, SCORES, asset("dashboard", "s/ranked"), asset("till"))
        assert names(between.keys) == ["raw/rates", "raw/scores"]
        assert names(between.own_downstream) == ["s/priced", "s/ranked"]

    def test_several_assets_in_a_row(self) -> None:
        between = of(asset("raw/rates", "fetched"), asset("fetched", "s/orders"))
        assert names(between.keys) == ["fetched", "raw/rates"]

    def test_no_intermediate_assets(self) -> None:
        between = of(asset("raw/rates"), asset("dashboard", "s/ranked"))
        assert names(between.keys) == names(between.own_downstream) == []


class TestRequestable:
    def test_partitioned_assets_cannot_be_requested(self) -> None:
        """Not even with two kinds of partitions, which no job can combine."""
        between = of(
            asset("raw/rates", "s/orders", partitions_def=DAYS),
            asset("raw/scores", "s/priced", partitions_def=HOURS),
        )
        assert names(between.keys) == ["raw/rates", "raw/scores"]
        assert names(between.requestable) == []
        assert names(between.own_downstream) == ["s/priced", "s/ranked"]

    def test_external_assets_cannot_be_requested(self) -> None:
        between = of(dg.AssetSpec(["raw", "rates"], deps=[["s", "orders"]]))
        assert names(between.keys) == ["raw/rates"]
        assert names(between.requestable) == []

    def test_models_of_another_op_cannot_be_requested(self) -> None:
        """They have their own schedules, which know when they are due."""
        other = project(
            model("raw.rates", "s.orders"), name="other", outside={"s.orders": ("s", "orders")}
        )
        between = of(build_sqlmesh_assets(project=other, name="other"))
        assert names(between.keys) == ["raw/rates"]
        assert names(between.requestable) == []

    def test_assets_of_one_op_are_requested_together(self) -> None:
        @dg.multi_asset(
            specs=[
                dg.AssetSpec(["raw", "rates"], deps=[["s", "orders"]]),
                dg.AssetSpec("rates_of_yesterday"),
            ]
        )
        def rates() -> Iterator[Any]:
            yield from ()

        assert names(of(rates).requestable) == ["rates_of_yesterday", "raw/rates"]


class TestRequested:
    @pytest.mark.parametrize(
        ("due", "materialized", "requested"),
        [
            (ALL, "", "raw/rates raw/scores"),
            (["s/orders"], "", ""),
            (["s/orders", "s/priced"], "", "raw/rates"),
            # Of nothing is it known that it was ever there.
            (["s/priced"], "", ""),
            (["s/priced"], "s/orders", "raw/rates"),
            (["s/priced"], "s/orders raw/rates", ""),
            (["s/priced"], "raw/rates s/orders", "raw/rates"),
            # What is read by models that are not due can wait.
            (["s/ranked"], "s/orders raw/rates s/priced raw/scores s/orders", ""),
            (["s/ranked"], "s/orders raw/rates s/priced raw/scores", ""),
        ],
    )
    def test_assets_older_than_their_upstream_are_requested(
        self, instance: dg.DagsterInstance, due: list[str], materialized: str, requested: str
    ) -> None:
        for key in materialized.split():
            instance.report_runless_asset_event(
                dg.AssetMaterialization(dg.AssetKey.from_user_string(key))
            )
        keys = frozenset(map(dg.AssetKey.from_user_string, due))
        assert names(of(RATES, SCORES).outdated_upstream_of(keys, instance)) == requested.split()


def test_a_schedule_targets_requestable_assets() -> None:
    warehouse = build_sqlmesh_assets(project=SHOP, name="warehouse")
    schedule = build_sqlmesh_schedule(warehouse, "@hourly")
    others = RATES, asset("raw/scores", "s/priced", partitions_def=DAYS), asset("till")
    repository = dg.Definitions(
        assets=[warehouse, *others],
        schedules=[schedule],
        resources={"sqlmesh": dg.ResourceDefinition.none_resource()},
    ).get_repository_def()
    job = repository.get_job(schedule.job_name)
    assert names(job.asset_layer.executable_asset_keys) == ["raw/rates", *sorted(ALL)]

"""What a plan evaluates when a model was edited."""

from __future__ import annotations

import time_machine
from sqlmesh import Context

from pytest_sqlmesh_tracker import (
    Tracker,
    assert_nothing_executed,
    assert_only_executed,
    assert_outcomes,
)


def edit(shop: Context, model: str, old: str, new: str) -> None:
    path = shop.path / "models" / model
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    shop.load()


def test_a_new_rule_for_segments_rebuilds_nothing_else(
    shop: Context, sqlmesh_tracker: Tracker
) -> None:
    edit(shop, "marketing/segments.sql", "orders >= 10", "orders >= 5")

    with time_machine.travel("2024-01-08 09:10Z", tick=True):
        shop.plan("dev", auto_apply=True, no_prompts=True)

    assert_only_executed(sqlmesh_tracker, "marketing.segments")


def test_what_dev_has_built_is_reused_in_prod(shop: Context, sqlmesh_tracker: Tracker) -> None:
    edit(shop, "sales/orders_daily.sql", "SUM(amount)", "SUM(amount / 1.19)")

    with time_machine.travel("2024-01-08 09:10Z", tick=True):
        shop.plan("dev", auto_apply=True, no_prompts=True)
        rebuilt = sqlmesh_tracker.last.executed
        shop.plan(auto_apply=True, no_prompts=True)

    assert "finance.weekly_revenue" in rebuilt
    assert_nothing_executed(sqlmesh_tracker)
    assert_outcomes(sqlmesh_tracker, dict.fromkeys(rebuilt, "reused"))

"""Status checks are judged by the gate's policy, as the command line and strict tests are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized,
    assert_sqlmesh_status,
)
from tests.dagster.conftest import NEXT_DAY, SUNDAY, Materialize, checks, step_failure

MONDAY = "2024-01-08 00:05"
TOLERANT = 'models = "shop.orders"\ntolerate = { reason = "signal_not_ready", for = "2 days" }'
WritePolicy = Callable[..., None]


@pytest.fixture
def write_policy(files: Path) -> Iterator[WritePolicy]:
    """Writes rules into the `pyproject.toml` above the project."""
    file = files.parent / "pyproject.toml"

    def write(*rules: str) -> None:
        file.write_text("".join(f"[[tool.sqlmesh_tracker.gate.rules]]\n{r}\n" for r in rules))

    yield write
    file.unlink()


def descriptions(result: dg.ExecuteInProcessResult, key: str) -> list[tuple[bool, str]]:
    """Whether each evaluation of an asset's status check passed, and its description."""
    return [
        (each.passed, each.description or "")
        for each in result.get_asset_check_evaluations()
        if each.asset_key.to_user_string() == key and each.check_name == STATUS_CHECK
    ]


@pytest.mark.long
def test_a_model_is_tolerated_for_two_days_and_those_below_as_well(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    write_policy: WritePolicy,
) -> None:
    write_policy(TOLERANT)
    sqlmesh_project.hold("shop.orders")
    for moment in (NEXT_DAY, SUNDAY):
        sqlmesh_project.travel(moment)
        result = materialize_sqlmesh(warehouse)
        for key in ("shop/orders", "shop/revenue", "shop/report"):
            assert_check_passed(result, key, STATUS_CHECK)
        assert descriptions(result, "shop/orders")[0][1].startswith(
            "skipped: its signal was not ready (held_by_test); held back since 2024-01-06 00:00 "
            "UTC, tolerated for 2 days, until 2024-01-08 00:00 UTC (by rule 1 (shop.orders)); held "
            "back: 2024-01-05"
        )
        assert descriptions(result, "shop/revenue")[0][1] == (
            "skipped: an upstream signal was not ready (shop.orders); tolerated as long as "
            "shop.orders, until 2024-01-08 00:00 UTC"
        )

    sqlmesh_project.travel(MONDAY)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    for key in ("shop/orders", "shop/revenue", "shop/report", "shop/weekly"):
        assert_check_failed(result, key, STATUS_CHECK, "WARN")
    assert "until 2024-01-08 00:00 UTC (by rule 1" in descriptions(result, "shop/orders")[0][1]

    sqlmesh_project.release("shop.orders")
    result = materialize_sqlmesh(warehouse)
    assert_materialized(result, "shop/orders", "shop/revenue", "shop/report", "shop/weekly")
    for key in ("shop/orders", "shop/revenue", "shop/report", "shop/weekly"):
        assert_check_passed(result, key, STATUS_CHECK)


@pytest.mark.long
def test_old_data_fails_the_check_of_a_model_that_is_not_due_or_was_executed(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    write_policy: WritePolicy,
) -> None:
    write_policy('models = ["shop.orders", "shop.weekly"]\nfresh_within = "2 hours"')
    sqlmesh_project.travel("2024-01-06 03:00")
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized(result, "shop/orders")
    assert_check_passed(result, "shop/revenue", STATUS_CHECK)
    assert_check_failed(result, "shop/weekly", STATUS_CHECK, "WARN")
    assert_check_failed(result, "shop/orders", STATUS_CHECK, "WARN")
    assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")
    [(_, weekly)] = descriptions(result, "shop/weekly")
    assert weekly.startswith(
        "skipped: its cron was not due, next due 2024-01-07 00:00 UTC; is loaded up to 2023-12-31 "
        "00:00 UTC, which is 147 hours "
    )
    # While SQLMesh works, its freshness is not known yet.
    [(while_running, _), (passed, orders)] = descriptions(result, "shop/orders")
    assert while_running
    assert not passed
    assert orders.startswith("executed in 1 batch: new interval; is loaded up to 2024-01-06 00:00")
    assert orders.endswith("rule 1 (shop.orders, shop.weekly) allows at most 2 hours")

    # The same holds in the next run; with another limit, nothing of it stands.
    result = materialize_sqlmesh(warehouse)
    assert_check_failed(result, "shop/orders", STATUS_CHECK, "WARN")
    write_policy('models = ["shop.orders", "shop.weekly"]\nfresh_within = "10 days"')
    result = materialize_sqlmesh(warehouse)
    assert_check_passed(result, "shop/orders", STATUS_CHECK)
    assert_check_passed(result, "shop/weekly", STATUS_CHECK)


@pytest.mark.long
def test_rules_allow_and_deny(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    write_policy: WritePolicy,
) -> None:
    write_policy(
        'models = "shop.weekly"\ndeny = ["cron_not_due"]',
        'models = ["shop.orders", "shop.revenue"]\nallow = "signal_not_ready"',
        'models = "shop.report"\ndeny = "upstream_not_ready"\nseverity = "warning"',
        'models = "shop.till"\nallow = "failed"',
    )
    sqlmesh_project.hold("shop.orders")
    sqlmesh_project.fail("shop.till")
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert_check_failed(result, "shop/weekly", STATUS_CHECK, "WARN")
    assert checks(result)["shop/weekly"].description.endswith("(denied by rule 1 (shop.weekly))")
    assert_check_passed(result, "shop/orders", STATUS_CHECK)
    assert_check_failed(result, "shop/revenue", STATUS_CHECK, "WARN")
    assert_check_passed(result, "shop/report", STATUS_CHECK)
    # A failure fails the step, and its check with it.
    assert not result.success
    assert_check_failed(result, "shop/till", STATUS_CHECK, "ERROR")


def test_a_policy_that_is_not_valid_fails_the_step_before_sqlmesh_begins(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    write_policy: WritePolicy,
) -> None:
    write_policy('models = "shop.*"\nfresh_within = "26 horus"')
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert not result.success
    assert step_failure(result).description.endswith(
        "pyproject.toml: rule 1: fresh_within: unknown unit 'horus'; did you mean hours?"
    )
    assert sqlmesh_project.tracker.reports == []


def test_outdated_rules_are_logged(
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    write_policy: WritePolicy,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_policy(f"{TOLERANT}\nuntil = 2024-01-01")
    materialize_sqlmesh(warehouse)
    words = "warehouse - the gate's policy: rule 1 (shop.orders): expired after 2024-01-01"
    assert words in capfd.readouterr().err

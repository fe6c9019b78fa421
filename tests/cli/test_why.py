"""What `why` prints, as tables, paragraphs and JSON, and how it rejects what it can't answer."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from tests.engines.engine import only_duckdb

from .conftest import Typed, execute_in_state

pytestmark = [pytest.mark.usefixtures("shop"), pytest.mark.processes]


def test_all_models_are_a_table(typed: Typed) -> None:
    ended = typed("why")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "if prod were run at 2024-01-10 00:05:00 UTC: 3 executed, 1 skipped",
        "marketing.spend is assumed to be ready: its signals were not called (see --signals)",
        "would be  model            intervals or reason",
        "executed  marketing.spend  2024-01-09: new_interval; if feed_is_there is ready",
        "executed  shop.orders      2024-01-09: new_interval",
        "executed  shop.daily       2024-01-09: new_interval",
        "skipped   shop.weekly      cron_not_due: next due 2024-01-14 00:00 UTC",
    ]


def test_a_model_is_a_paragraph(typed: Typed) -> None:
    ended = typed("why", "shop.weekly")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "shop.weekly would be skipped: its cron is not due until 2024-01-14 00:00 UTC",
        "  run         prod, at 2024-01-10 00:05:00 UTC",
        "  cron        @weekly, next due 2024-01-14 00:00:00 UTC",
        "  intervals   loaded through 2024-01-06",
        "              3 days held back by cron: 2024-01-07 .. 2024-01-09",
        "",
        "To evaluate it now, use run(ignore_cron=True), "
        "or run at 2024-01-14 00:00:00 UTC or later.",
    ]


@pytest.mark.long
def test_signals_are_called_on_request(typed: Typed) -> None:
    Path("feed_is_late").touch()
    ended = typed("why", "marketing.*", "--signals")
    assert ended.out.splitlines() == [
        "marketing.spend would be skipped: its signal is not ready (feed_is_there)",
        "  run         prod, at 2024-01-10 00:05:00 UTC",
        "  intervals   loaded through 2024-01-08",
        "  waiting     since 2024-01-10 00:00:00 UTC",
        "  signal      feed_is_there held back 2024-01-09",
    ]


@pytest.mark.long
def test_json_has_what_a_report_would_have(typed: Typed) -> None:
    document = json.loads(typed("why", "--json").out)
    models = document.pop("models")
    assert document == {
        "schema_version": 1,
        "environment": "prod",
        "at": "2024-01-10T00:05:00+00:00",
        "signals_called": False,
        "unfinished_plan": None,
        "expires_at": None,
    }
    assert list(models) == ["marketing.spend", "shop.orders", "shop.daily", "shop.weekly"]
    orders, weekly = models["shop.orders"], models["shop.weekly"]
    assert (orders["status"], orders["cause"]) == ("executed", "new_interval")
    assert orders["intervals"] == [["2024-01-09T00:00:00+00:00", "2024-01-10T00:00:00+00:00"]]
    assert orders["message"] == "would be evaluated in 1 batch: new interval"
    assert (weekly["status"], weekly["reason"]) == ("skipped", "cron_not_due")
    assert weekly["next_due"] == "2024-01-14T00:00:00+00:00"
    assert (weekly["intervals"], weekly["blocked_by"]) == ([], [])


@pytest.mark.long
def test_json_has_the_models_that_were_asked_for(typed: Typed) -> None:
    document = json.loads(typed("why", "shop.d*", "SHOP.ORDERS", "--json").out)
    assert list(document["models"]) == ["shop.daily", "shop.orders"]


@pytest.mark.long
def test_the_project_is_found_before_and_after_the_command(
    typed: Typed, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    before = typed("-p", str(shop), "why", "shop.orders")
    after = typed("why", "shop.orders", "-p", "shop")
    assert before == after
    assert before.out.startswith("shop.orders would be evaluated in 1 batch: new interval\n")


@pytest.mark.long
def test_models_that_were_never_planned(typed: Typed) -> None:
    Path("models/new.sql").write_text("MODEL (name shop.new, kind FULL); SELECT 1 AS n")
    ended = typed("why", "shop.new")
    assert ended.out.startswith("shop.new would be skipped: it is not in the environment\n")


@pytest.mark.long
def test_files_that_can_not_be_read(typed: Typed) -> None:
    Path("models/broken.sql").write_text("MODEL (name shop.broken); SELECT FROM WHERE")
    ended = typed("why")
    assert ended.code == 0
    assert "the project's files were not read: " in ended.out
    assert "executed  shop.orders" in ended.out


@pytest.mark.long
def test_a_run_would_wait_for_an_unfinished_plan(typed: Typed, shop: Path) -> None:
    execute_in_state(
        shop, "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = 'abcdefghij'"
    )
    table, paragraph = typed("why").out, typed("why", "shop.orders").out
    assert "plan abcdefgh of prod is not finished; if it failed or was stopped" in table
    assert paragraph.startswith("shop.orders would wait: plan abcdefgh of prod is not finished\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["shop.order"], "no model 'shop.order' in prod or the project; did you mean shop.orders"),
        (["nothing.*"], "no model matches 'nothing.*' in prod or the project"),
        (["-E", "dev"], "environment dev of the SQLMesh project"),
        (["-p", "models"], "no SQLMesh project in"),
    ],
)
def test_one_line_says_what_is_wrong(typed: Typed, arguments: list[str], error: str) -> None:
    ended = typed("why", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    [line] = ended.err.splitlines()
    assert line.startswith("Error: ")
    assert error in line


@pytest.mark.long
def test_nothing_is_planned(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "unplanned"
    (folder / "models").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "gateways: {local: {connection: {type: duckdb, database: new.db}}}\n"
        "model_defaults: {dialect: duckdb, start: 2024-01-01}\n"
    )
    (folder / "models" / "one.sql").write_text("MODEL (name t.one, kind FULL); SELECT 1 AS n")
    monkeypatch.chdir(folder)
    ended = typed("why")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert "environment prod of the SQLMesh project" in line
    assert "has not been planned yet" in line
    assert not Path("new.db").exists()


@only_duckdb("about its lock")
def test_a_locked_state(typed: Typed, shop: Path) -> None:
    with closing(duckdb.connect(str(shop / "wh.db"))):
        ended = typed("why")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert "Could not set lock on file" in line

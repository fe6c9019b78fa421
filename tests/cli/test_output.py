"""What `run` and `plan` print and write: tables, JSON, files, GitHub's job summary."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.reports.files import entries_from_json

from .conftest import Typed, execute, process

pytestmark = pytest.mark.usefixtures("shop")

MOVING = """
import os

from sqlmesh import model


@model("shop.moving", kind="FULL", columns={{"n": "int"}}, cron="@daily")
def execute(context, start, end, execution_time, **kwargs):
    os.chdir({folder!r})
    yield from ()
"""
CALLING = """
import os

from sqlmesh import model


@model("shop.calling", kind="FULL", columns={"n": "int"}, cron="@daily")
def execute(context, start, end, execution_time, **kwargs):
    os.system("echo from a program")
    yield from ()
"""


def test_the_table_follows_sqlmeshs_own_output(typed: Typed) -> None:
    out = typed("run", "--execution-time", "2024-01-10 00:05").out
    assert "Run finished for environment 'prod'" in out
    assert out.index("Run finished") < out.index("run prod, execution_time 2024-01-10 00:05:00 UTC")


def test_standard_output_is_json_only(typed: Typed) -> None:
    ended = typed("run", "--json")
    assert ended.report.executed == {"shop.orders", "shop.daily", "marketing.spend"}
    assert "Run finished" in ended.err
    assert "gate passed" in ended.err


def test_quiet_output_shows_findings(typed: Typed) -> None:
    Path("feed_is_late").touch()
    ended = typed("run", "--quiet")
    assert ended.code == 1
    assert "Run finished" not in ended.out + ended.err
    assert "executed" not in ended.out
    assert "marketing.spend was skipped: its signal was not ready (feed_is_there)" in ended.out


def test_quiet_output_shows_why_nothing_started(typed: Typed) -> None:
    Path("models/broken.sql").write_text("MODEL (name shop.broken); SELECT FROM WHERE")
    ended = typed("plan", "--quiet", "--auto-apply")
    assert ended.code == 2
    assert "broken.sql" in ended.err


def test_quiet_output_shows_what_a_command_raised(typed: Typed) -> None:
    ended = typed("run", "nowhere", "--quiet")
    assert ended.code == 2
    assert ended.err == "Error: SQLMeshError: Environment 'nowhere' was not found.\n"
    assert ended.out == ""


def test_a_quiet_plan_does_not_prompt(typed: Typed) -> None:
    ended = typed("plan", "--quiet")
    assert ended.code == 2
    assert "plan --quiet would hide SQLMesh's prompts: add --auto-apply" in ended.err


def test_the_execution_time_of_a_run(typed: Typed) -> None:
    ended = typed("run", "--json", "--execution-time", "2024-01-11 00:05", when="2024-01-13 09:00")
    assert f"{ended.report.execution_time:%Y-%m-%d %H:%M}" == "2024-01-11 00:05"
    ended.report.assert_executed("shop.daily", intervals=("2024-01-09", "2024-01-11"))


def test_report_files(typed: Typed) -> None:
    Path("feed_is_late").touch()
    files = ["night.json", "reports/night.md", "reports/night.html"]
    ended = typed("run", *(word for file in files for word in ("--report", file)))
    assert ended.code == 1
    [(test, report)] = entries_from_json(Path("night.json").read_bytes())
    assert test is None
    report.assert_skipped("marketing.spend", reason="signal_not_ready")
    for file in files[1:]:
        assert "marketing.spend" in Path(file).read_text()
        assert "feed_is_there" in Path(file).read_text()


@pytest.mark.parametrize("paths", ["../shop", "../sh[o]p"])
def test_a_page_has_links_to_the_files_of_models(typed: Typed, paths: str) -> None:
    """SQLMesh accepts patterns as paths."""
    page = Path("../pages/night.html")
    assert typed("--paths", paths, "plan", "--auto-apply", "--report", str(page)).code == 0
    assert '<a href="../shop/models/shop.weekly.sql">' in page.read_text()


def test_an_empty_report_replaces_an_older_one(typed: Typed) -> None:
    typed("run", "--report", "night.json")
    assert entries_from_json(Path("night.json").read_bytes())
    Path("models/broken.sql").write_text("MODEL (name shop.broken); SELECT FROM WHERE")
    assert typed("plan", "--auto-apply", "--report", "night.json").code == 2
    assert entries_from_json(Path("night.json").read_bytes()) == []


def test_an_unknown_report_format_is_rejected_before_anything_runs(typed: Typed) -> None:
    ended = typed("run", "--report", "night.pdf")
    assert ended.code == 2
    assert "night.pdf" in ended.err
    assert ".html" in ended.err
    assert "Run finished" not in ended.out


def test_a_report_that_cannot_be_written_is_an_error(typed: Typed) -> None:
    Path("reports").write_text("a file, no folder")
    ended = typed("run", "--report", "reports/night.json", "--report", "night.md")
    assert ended.code == 2
    assert "reports/night.json" in ended.err
    assert "Traceback" not in ended.err


def test_a_report_is_written_to_the_requested_path(
    typed: Typed, shop: Path, tmp_path: Path
) -> None:
    Path("models/moving.py").write_text(MOVING.format(folder=str(tmp_path)))
    typed(
        "plan",
        "--auto-apply",
        "--no-prompts",
        "--skip-backfill",
        "--no-gaps",
        when="2024-01-09 00:10",
    )
    ended = typed("run", "--report", "night.json")
    os.chdir(shop)
    assert ended.code == 0, ended.out + ended.err
    assert entries_from_json(Path("night.json").read_bytes())


@pytest.mark.long
@pytest.mark.processes
def test_output_of_other_programs_is_not_in_the_json(typed: Typed) -> None:
    Path("models/calling.py").write_text(CALLING)
    unloaded = ("--skip-backfill", "--no-gaps")
    typed("plan", "--auto-apply", "--no-prompts", *unloaded, when="2024-01-09 00:10")
    ran = process("run", "--no-load", "--json", "--execution-time", "2024-01-10 00:05")
    [(_, report)] = entries_from_json(ran.stdout)
    report.assert_executed("shop.calling")
    assert "from a program" in ran.stderr


@pytest.mark.processes
def test_a_full_disk_is_reported_and_loses_no_report() -> None:
    with Path("/dev/full").open("w") as full:
        ran = process("run", "--no-load", "--report", "night.json", stdout=full)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "No space left on device" in ran.stderr


def test_a_job_summary_on_github(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# From the step before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    Path("feed_is_late").touch()
    assert typed("run", "--github-summary").code == 1
    assert summary.read_text().startswith("# From the step before\n")
    assert "feed_is_there" in summary.read_text()


def test_no_job_summary_outside_of_github(typed: Typed) -> None:
    ended = typed("run", "--github-summary")
    assert ended.code == 2
    assert "--github-summary" in ended.err
    assert "Run finished" not in ended.out


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ('models = "marketing.*"\nallow = ["signal_not_ready"]', 0),
        ('models = "shop.weekly"\nrequire = "executed"\nwhy = "it is Wednesday"', 1),
        ('models = "marketing.*"\nallow = ["signal_not_redy"]', 2),
    ],
)
@pytest.mark.parametrize("place", ["pyproject.toml", "../pyproject.toml", "--policy"])
def test_the_policy(typed: Typed, rule: str, code: int, place: str) -> None:
    Path("feed_is_late").touch()
    text = f"[[tool.sqlmesh_tracker.gate.rules]]\n{rule}\n"
    file = Path("gate.toml" if place == "--policy" else place)
    file.write_text(text)
    ended = typed("run", *(["--policy", "gate.toml"] if place == "--policy" else []))
    assert ended.code == code, ended.out + ended.err
    if code == 1:
        assert "it is Wednesday" in ended.out
    if code == 2:
        assert file.name in ended.err
        assert "did you mean signal_not_ready or upstream_not_ready?" in ended.err
        assert "Run finished" not in ended.out


def test_the_policy_is_searched_from_the_project_upward(
    typed: Typed, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "feed_is_late").touch()
    (shop / "pyproject.toml").write_text(
        '[[tool.sqlmesh_tracker.gate.rules]]\nmodels = "*"\nallow = ["signal_not_ready"]\n'
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "marketing.spend" in typed("-p", str(shop), "run", "--json").out


def test_a_connection_error_shows_no_password(typed: Typed) -> None:
    secret = "postgresql://etl:hunter2-but-longer@warehouse/prod"
    execute(Path.cwd(), "DROP TABLE raw.rates")
    raises = f"concat('no route to ', '{secret}')::INT"
    execute(Path.cwd(), f"CREATE VIEW raw.rates AS SELECT {raises} AS rate")
    ended = typed("run", "--json", "--report", "night.html")
    assert "no route to postgresql://" in str(ended.report["shop.orders"].error)
    assert "hunter2" not in json.dumps(ended.report.to_dict())
    assert "hunter2" not in Path("night.html").read_text()

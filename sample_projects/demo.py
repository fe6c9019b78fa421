"""What ran, what did not, and why: a story on the sample projects, told by `make demo`.

Exits with 1 as soon as something is not as told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import duckdb
import time_machine
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlmesh import Context

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, Tracker, track_all

SAMPLES = Path(__file__).parent
NOT_COPIED = shutil.ignore_patterns("tests", ".cache", "*.duckdb*")
STYLES = {"executed": "green", "failed": "bold red", "skipped": "yellow"}

WRONG_TEST = """\
import time_machine
from sqlmesh import Context

from pytest_sqlmesh_tracker import assert_executed


def test_revenue_is_booked_on_wednesday(sqlmesh_tracker):
    shop = Context(paths=["shop"])

    with time_machine.travel("2024-01-10 00:05Z", tick=True):
        shop.run()

    assert_executed(sqlmesh_tracker, "sales.orders_daily", "finance.weekly_revenue")
"""

console = Console(highlight=False)
console.width = min(console.width, 100) if console.is_terminal else 96


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, track_all() as tracker:
        try:
            cascade(Path(folder), tracker)
            upstream_failure(Path(folder), tracker)
            sample_tests()
            wrong_expectation(Path(folder))
        except AssertionError as error:
            console.print(Text(f"\nNot as told: {error}", style="bold red"))
            return 1
    chapter("The end", "It failed as it should, and everything else was as described.")
    return 0


def cascade(folder: Path, tracker: Tracker) -> None:
    project = shutil.copytree(SAMPLES / "cron_cascade", folder / "shop", ignore=NOT_COPIED)
    os.environ["SHOP_DB"] = str(project / "shop.duckdb")
    with closing(Context(paths=[project])) as shop:
        chapter(
            "1. The first plan",
            "Monday 09:05 in a web shop with twelve models, from half-hourly to weekly ones. "
            "Nothing is loaded yet, so the plan executes every model.",
        )
        with time_machine.travel("2024-01-08 09:05Z", tick=True):
            shop.plan(auto_apply=True, no_prompts=True)
        show(tracker.last)
        tracker.assert_executed("*")

        chapter(
            "2. Half an hour later",
            "Monday 09:35. Two models have a new half-hour to load. The others wait: SQLMesh does "
            "not mention them, the tracker says why they wait and until when.",
        )
        run_at("2024-01-08 09:35", shop, tracker)
        tracker.assert_only_executed("web.page_views", "web.live_traffic")

        chapter("3. On the hour", "Monday 10:05. Now the hourly models are due as well.")
        run_at("2024-01-08 10:05", shop, tracker)
        tracker.assert_only_executed("web.*", "sales.orders")

        chapter("4. The next day", "Tuesday 00:05. Only the weekly models wait.")
        run_at("2024-01-09 00:05", shop, tracker)
        explain(tracker.last, "finance.weekly_revenue")
        tracker.assert_only_executed("web.*", "sales.*", "marketing.customers")
        tracker.assert_skipped("finance.*", "marketing.segments", reason="cron_not_due")


def upstream_failure(folder: Path, tracker: Tracker) -> None:
    project = shutil.copytree(SAMPLES / "upstream_failure", folder / "payments", ignore=NOT_COPIED)
    os.environ["PAYMENTS_DB"] = str(project / "payments.duckdb")
    with duckdb.connect(os.environ["PAYMENTS_DB"]) as connection:
        connection.execute((project / "raw.sql").read_text())
    with closing(Context(paths=[project])) as warehouse:
        sql = warehouse.engine_adapter.execute
        with time_machine.travel("2024-03-04 06:00Z", tick=True):
            warehouse.plan(auto_apply=True, no_prompts=True)

        chapter(
            "5. An upstream model breaks",
            "Another project, about payments. One amount arrives as '12,50': the model that "
            "casts it fails, and whatever needs that model is skipped. The rest runs.",
        )
        sql("UPDATE raw.payments SET amount = '12,50' WHERE payment_id = 31")
        run_at("2024-03-05 06:00", warehouse, tracker)
        explain(tracker.last, "reports.daily_revenue")
        tracker.assert_failed("billing.charges", match="Could not convert")
        tracker.assert_skipped("reports.daily_revenue", "reports.re*", reason="upstream_failed")
        tracker.assert_executed("staging.*", "crm.*", "reports.newsletter")

        chapter(
            "6. The repair",
            "Half an hour later the amount is '12.50'. The failed model and those skipped for it "
            "catch up; nothing else runs again.",
        )
        sql("UPDATE raw.payments SET amount = '12.50' WHERE payment_id = 31")
        run_at("2024-03-05 06:30", warehouse, tracker)
        tracker.assert_only_executed("billing.charges", "reports.daily_revenue", "reports.re*")


def sample_tests() -> None:
    chapter("7. The same, as tests", "The projects' own tests expect just that (half a minute).")
    code, _ = run_pytest(SAMPLES, "cron_cascade", "upstream_failure")
    if code != 0:
        raise AssertionError(f"the sample projects' tests should pass; pytest exited with {code}")


def wrong_expectation(folder: Path) -> None:
    chapter(
        "8. A wrong expectation",
        "A test that expects weekly revenue on a Wednesday has to fail, and to say why:",
    )
    (folder / "test_wrong.py").write_text(WRONG_TEST)
    code, output = run_pytest(folder, "test_wrong.py", "-W", "ignore")
    if code != 1 or "its cron was not due" not in output:
        raise AssertionError(f"this test should fail for its cron; pytest exited with {code}")


def run_at(time: str, context: Context, tracker: Tracker) -> None:
    with time_machine.travel(f"{time}Z", tick=True):
        context.run()
    show(tracker.last)


def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    color = "--color=yes" if console.is_terminal else "--color=no"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", color, *arguments]
    env = {**os.environ, "COLUMNS": str(console.width)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    output = (done.stdout + done.stderr).strip()
    console.print(Text.from_ansi(output), soft_wrap=True)
    return done.returncode, output


def chapter(title: str, text: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left")
    console.print(text, end="\n\n")


def explain(report: RunReport, model: str) -> None:
    title = f'report.explain("{model}")'
    console.print()
    console.print(Panel(Text(report.explain(model)), title=title, title_align="left"))


def show(report: RunReport) -> None:
    """A row a model: those that were worked on, then the others by the time they are due."""
    table = Table("model", "cron", "status", "why", box=None, pad_edge=False)
    for outcome in sorted(report.counted, key=lambda o: (o.status == "skipped", str(o.next_due))):
        status = Text(outcome.status, style=STYLES.get(outcome.status, "magenta"))
        table.add_row(outcome.name, outcome.cron, status, why(outcome))
    console.print(table)


def why(outcome: ModelOutcome) -> str:
    if outcome.blocked_by:
        return f"{outcome.reason}: {', '.join(outcome.blocked_by)}"
    if outcome.error:
        return f"{outcome.reason}: {outcome.error.split(':')[0]}"
    if outcome.next_due:
        return f"{outcome.reason} until {outcome.next_due:%A %H:%M}"
    return outcome.reason or f"{outcome.cause}, loaded to {outcome.loaded_through:%A %H:%M}"


if __name__ == "__main__":
    sys.exit(main())

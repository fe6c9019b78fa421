"""Cases in which a report was once wrong or undetermined."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from tests.projects import Project, at, read_between

DAILY = {"cron": "'@daily'"}


@pytest.fixture
def gated(project: Project) -> Project:
    """Signals `gate(name := 'x')` hold back the intervals that start at times in the file `x`."""
    project.write(
        "signals/__init__.py",
        f"""
        from pathlib import Path
        from sqlmesh import signal
        from sqlmesh.utils.date import to_datetime

        @signal()
        def gate(batch, name="x"):
            file = Path({str(project.path)!r}) / str(name).strip("'")
            held = file.read_text().split(",") if file.exists() else []
            return [span for span in batch if span[0] not in map(to_datetime, held)]
        """,
    )
    return project


def test_a_daily_child_of_a_held_back_hour(gated: Project) -> None:
    """SQLMesh leaves out the days after the unready hour as well, and the tracker did not know why.

    `interval_diff` drops what follows where the child's unit begins before the unready one.
    """
    gated.incremental(
        "s.hourly", "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount",
        cron="'@hourly'", signals="(gate(name := 'hold'))",
    )  # fmt: skip
    gated.incremental("s.daily", read_between("s.hourly"), **DAILY)
    gated.incremental("s.by_day", read_between("s.hourly"), ", batch_size 1", **DAILY)
    with at("2024-01-05 00:10"):
        gated.plan().assert_executed("s.*")
    gated.write("hold", "2024-01-05 05:00")
    with at("2024-01-08 00:10"):
        report = gated.run()
    report.assert_executed("s.hourly", intervals=("2024-01-05 06:00", "2024-01-08"))
    report.assert_skipped("s.daily", "s.by_day", reason="upstream_not_ready")
    assert report["s.daily"].blocked_by == ("s.hourly",)


def test_a_signal_upstream_that_does_not_hold_back_this_model(gated: Project) -> None:
    """It was named in `blocked_by` all the same."""
    for name in ("a", "b"):
        gated.incremental(
            f"s.{name}", "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount",
            signals=f"(gate(name := '{name}'))", start="'2024-01-01'", **DAILY,
        )  # fmt: skip
    gated.incremental(
        "s.c", "SELECT s.a.ts, 1 AS amount FROM s.a JOIN s.b USING (ts) WHERE ts < @end_dt",
        start="'2024-01-04'", **DAILY,
    )  # fmt: skip
    gated.write("a", "2024-01-03")
    with at("2024-01-05 00:10"):
        gated.plan()
    gated.write("b", "2024-01-05")
    with at("2024-01-06 00:10"):
        report = gated.run()
    report.assert_executed("s.a", intervals=("2024-01-05", "2024-01-06"))
    report.assert_skipped("s.c", reason="upstream_not_ready")
    assert report["s.c"].blocked_by == ("s.b",)


def test_automatic_restatements_can_come_before_the_next_tick(project: Project) -> None:
    """`next_due` was the next Sunday, but the next night evaluated the model again."""
    project.incremental(
        "s.weekly", "SELECT @start_dt::TIMESTAMP AS ts",
        ", auto_restatement_cron '@daily', auto_restatement_intervals 10", cron="'@weekly'",
    )  # fmt: skip
    project.incremental("s.reader", "SELECT ts FROM s.weekly", cron="'@weekly'")
    project.incremental("s.aside", "SELECT @start_dt::TIMESTAMP AS ts", cron="'@weekly'")
    project.incremental(
        "s.fixed", "SELECT ts FROM s.weekly", ", disable_restatement TRUE", cron="'@weekly'"
    )
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-09 13:00"):
        report = project.run()
    report.assert_skipped("s.*", reason="cron_not_due")
    sunday, tonight = (datetime(2024, 1, day, tzinfo=timezone.utc) for day in (14, 10))
    assert report["s.weekly"].next_due == report["s.reader"].next_due == tonight
    assert report["s.aside"].next_due == report["s.fixed"].next_due == sunday
    with at("2024-01-09 23:59:55"):
        project.run().assert_nothing_executed()
    with at("2024-01-10 00:00:05"):
        project.run().assert_only_executed("s.weekly", "s.reader")


def test_a_start_far_ahead_of_a_frequent_cron(project: Project) -> None:
    """The search for `next_due` gave up too early."""
    project.incremental("s.now", "SELECT @start_dt::TIMESTAMP AS ts", **DAILY)
    project.incremental(
        "s.later", "SELECT @start_dt::TIMESTAMP AS ts", cron="'*/5 * * * *'", start="'2024-06-01'"
    )
    with at("2024-01-09 12:00"):
        project.plan(skip_backfill=True, no_gaps=True)
        later = project.run()["s.later"]
    assert later.reason == "not_started"
    assert later.next_due == datetime(2024, 6, 1, 0, 5, tzinfo=timezone.utc)


def test_a_plan_that_fails_before_it_reaches_a_model(project: Project) -> None:
    """An audit of one model failed, and the change of another was never reached."""
    project.model("s.audited", "SELECT 1 AS id", **DAILY)
    project.model("s.changed", "SELECT 1 AS id", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    audits = "(accepted_values(column := id, is_in := (2)))"
    project.model("s.audited", "SELECT 1 AS id", audits=audits, **DAILY)
    project.model("s.changed", "SELECT 2 AS id", **DAILY)
    project.reload()
    with at("2024-01-09 13:00"):
        report = project.plan()
    report.assert_failed("s.audited", reason="audit_failed")
    report.assert_outcomes({"s.changed": "interrupted"})
    report.assert_outcomes({"s.changed": "command_failed"})


def test_a_plan_that_another_plan_overtakes(project: Project) -> None:
    """What it found missing when it was built was loaded when it was applied."""
    project.model("s.one", "SELECT 1 AS id", **DAILY)
    with at("2024-01-09 12:00"), sqlmesh_run_tracker(project.context) as tracker:
        plan = project.context.plan_builder("prod").build()
        project.context.plan("dev", auto_apply=True, no_prompts=True)
        project.context.apply(plan)
    dev, prod = tracker.reports
    dev.assert_executed("s.one")
    prod.assert_skipped("s.one", reason="reused")
    assert prod["s.one"].loaded_through == dev["s.one"].loaded_through
    assert prod.completion == "success"


def test_arguments_that_the_caller_changes_later(project: Project) -> None:
    """The report had kept the caller's own list."""
    project.model("s.one", "SELECT 1 AS id", **DAILY)
    project.model("s.two", "SELECT 1 AS id", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    selected = ["s.one"]
    with at("2024-01-10 12:00"), sqlmesh_run_tracker(project.context) as tracker:
        project.context.run(select_models=selected)
        selected.append("s.two")
        project.context.run(select_models={"s.two", "s.one"})
    first, second = tracker.reports
    assert first.arguments == {"select_models": ["s.one"]}
    assert second.arguments == {"select_models": ["s.one", "s.two"]}
    first.assert_only_executed("s.one")


def test_a_signal_and_a_failure_upstream_of_one_model(gated: Project) -> None:
    """The hour that its own signal held back was not reported: only the failure was."""
    project = gated
    broken = "CASE WHEN EXISTS (SELECT 1 FROM raw.broken) THEN error('broken')::INT ELSE 1 END"
    project.incremental("s.parent", f"SELECT @start_dt::TIMESTAMP AS ts, {broken} AS amount",
                        cron="'@hourly'")  # fmt: skip
    project.incremental("s.child", read_between("s.parent"),
                        cron="'@hourly'", signals="(gate(name := 'hold'))")  # fmt: skip
    with at("2024-01-05 00:10"):
        project.execute("CREATE SCHEMA raw; CREATE TABLE raw.broken (id INT)")
        project.plan()
    project.write("hold", "2024-01-05 05:00")
    project.execute("INSERT INTO raw.broken VALUES (1)")
    with at("2024-01-05 08:10"):
        report = project.run()
    child = report["s.child"]
    assert (child.status, child.reasons) == ("skipped", ("signal_not_ready", "upstream_failed"))
    assert child.blocked_by == ("s.parent",)
    assert [span.start.hour for span in child.signals["gate"]] == [5]


def test_a_plan_whose_dates_sqlmesh_rejects_when_it_is_applied(project: Project) -> None:
    """Its models were reported as outside of the window: it never came to look for them."""
    project.model("s.view", "SELECT 1 AS id", kind="VIEW", cron="'@hourly'")
    project.model("s.names", "SELECT 'a' AS name", kind="VIEW", cron="'@hourly'")
    with at("2024-01-10 23:45"):
        project.plan()
    project.model("s.names", "SELECT 'a' AS name", kind="VIEW", cron="'@hourly'", owner="x")
    project.reload()
    from pytest_sqlmesh_tracker import sqlmesh_run_tracker

    with at("2024-01-11 00:16"), sqlmesh_run_tracker(project.context) as tracker:
        try:
            project.context.plan(
                "dev", include_unmodified=True, end="2024-01-10", auto_apply=True, no_prompts=True
            )
        except ValueError:
            assert tracker.last.by_reason == {"command_failed": frozenset(tracker.last.outcomes)}
        else:
            assert not tracker.last.interrupted


def test_intervals_to_be_restated_automatically_stay_loaded_until_then(project: Project) -> None:
    """A failed model had nothing loaded any more, though the state still has it."""
    project.incremental(
        "s.daily", "SELECT ts, id FROM raw.ticks WHERE ts BETWEEN @start_dt AND @end_dt",
        ", auto_restatement_cron '@daily', auto_restatement_intervals 10", cron="'@daily'",
    )  # fmt: skip
    ninth = datetime(2024, 1, 9, tzinfo=timezone.utc)
    with at("2024-01-09 12:00"):
        project.execute("CREATE SCHEMA raw; CREATE TABLE raw.ticks (ts TIMESTAMP, id INT)")
        project.plan()
        project.run()
    project.execute("DROP TABLE raw.ticks")
    with at("2024-01-10 12:00"):
        report = project.run()
    report.assert_failed("s.daily")
    assert report["s.daily"].loaded_through == ninth
    # The same goes for what it waits for: the day that has come since.
    assert report["s.daily"].waiting_since == datetime(2024, 1, 10, tzinfo=timezone.utc)


def test_a_tick_at_which_a_model_starts(project: Project) -> None:
    """SQLMesh refuses the span from a start to itself; so did the search for `next_due`."""
    project.incremental("s.daily", "SELECT @start_dt::TIMESTAMP AS ts", **DAILY)
    project.incremental(
        "s.later", "SELECT @start_dt::TIMESTAMP AS ts", cron="'0 */6 * * *'",
        start="'2024-02-10'", allow_partials="TRUE",
    )  # fmt: skip
    with at("2024-01-10 09:00"):
        project.unwitnessed_plan(auto_apply=True, skip_backfill=True, no_gaps=True)
    with at("2024-01-10 09:30"):
        report = project.run()
    report.assert_skipped("s.later", reason="not_started")
    assert report["s.later"].next_due == datetime(2024, 2, 10, 6, tzinfo=timezone.utc)


def test_a_signal_on_a_span_that_ends_before_it_starts(gated: Project) -> None:
    """SQLMesh finds such a span before a model's first tick; the signal holding it was omitted."""
    gated.incremental(
        "s.self", "SELECT @start_dt::TIMESTAMP AS ts, (SELECT COUNT(*) FROM s.self) AS n",
        ", batch_size 30", columns="(ts TIMESTAMP, n BIGINT)", cron="'30 13 * * *'",
        allow_partials="TRUE", signals="(gate(name := 'hold'))",
    )  # fmt: skip
    with at("2024-01-10 09:00"):
        gated.unwitnessed_plan(auto_apply=True, skip_backfill=True, no_gaps=True)
    gated.write("hold", "2024-01-15 00:00")
    with at("2024-01-15 09:00"):
        report = gated.run(start="2024-01-15")
    report.assert_skipped("s.self", reason="signal_not_ready")


def test_a_plan_that_fails_before_its_audits(project: Project) -> None:
    """A model with only audits to run was reported as reused, though they were cut off."""
    project.write(
        "audits/known.sql", "AUDIT (name known, dialect duckdb); SELECT * FROM @this_model LIMIT 0"
    )
    project.model("s.names", "SELECT 'a' AS name", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    project.model("s.names", "SELECT 'a' AS name", audits="(known)", **DAILY)
    config = (project.path / "config.yaml").read_text()
    project.write("config.yaml", f'{config}before_all:\n- "SELECT * FROM raw.gate"\n')
    from sqlmesh import Context

    from pytest_sqlmesh_tracker import sqlmesh_run_tracker

    context = Context(paths=str(project.path))
    with at("2024-01-09 13:00"), sqlmesh_run_tracker(context) as tracker:
        with pytest.raises(Exception, match="gate"):
            context.plan(auto_apply=True, no_prompts=True)
    names = tracker.last["s.names"]
    assert (names.status, names.reason) == ("interrupted", "command_failed")


@pytest.mark.parametrize(
    "stamp", [{}, {"stamp": "'first'"}], ids=["without a stamp", "with a stamp"]
)
def test_a_model_that_was_restored_is_not_edited(project: Project, stamp: dict[str, str]) -> None:
    """SQLMesh stamps a version that a forward-only plan had replaced: `revert to ...`. That stamp
    is part of the definition, and the next run was reported as one of an edited model."""
    project.incremental(
        "m.a", "SELECT 1 AS amount, @start_ts::TIMESTAMP AS ts", cron="'@daily'", **stamp
    )
    with at("2024-01-05 00:05"):
        project.plan()
    project.incremental(
        "m.a", "SELECT 2 AS amount, @start_ts::TIMESTAMP AS ts", cron="'@daily'", **stamp
    )
    project.reload()
    with at("2024-01-05 00:10"):
        # A version that replaces another takes over its intervals, without a batch.
        project.unwitnessed_plan(auto_apply=True, forward_only=True)
    project.incremental(
        "m.a", "SELECT 1 AS amount, @start_ts::TIMESTAMP AS ts", cron="'@daily'", **stamp
    )
    project.reload()
    with at("2024-01-05 00:15"):
        project.unwitnessed_plan(auto_apply=True)
        (stored,) = project.context.snapshots.values()
        assert (stored.node.stamp or "").startswith("revert to ")
    with at("2024-01-06 00:05"):
        report = project.run()
    report.assert_executed("m.a")
    assert not report["m.a"].local_edit


def test_a_model_that_starts_within_its_first_interval_is_due_between_two_ticks(
    project: Project,
) -> None:
    """Reported as due at the second tick: for a start within a month, SQLMesh finds that month when
    28 days have gone by since, which is after its end and before the next tick.
    """
    project.model("shop.monthly", "SELECT 1 AS id", cron="'@monthly'", start="'2024-01-05'")
    with at("2024-01-10 23:05"):
        planned = project.plan()
    assert planned["shop.monthly"].next_due == datetime(2024, 2, 2, tzinfo=timezone.utc)
    with at("2024-02-01 23:59:50"):
        project.run().assert_skipped("shop.monthly", reason="cron_not_due")
    with at("2024-02-02"):
        project.run().assert_executed("shop.monthly")

"""Runs: due models ran, others did not, and the report says why."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from sqlmesh.utils.errors import PlanError, SQLMeshError

from pytest_sqlmesh_tracker import Reason, RunReport, Status, sqlmesh_run_tracker
from tests.projects import Project, at, read_between


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.fixture
def planned(shop: Project) -> Project:
    shop.plan_once("2024-01-09 12:10")
    return shop


class TestCron:
    def test_with_nothing_due_every_model_is_skipped(self, planned: Project) -> None:
        with at("2024-01-09 12:20"):
            report = planned.run()
        report.assert_nothing_executed()
        assert report.completion == "nothing_to_do"
        assert report.by_reason == {"cron_not_due": report.skipped}
        assert len(report.skipped) == 5

    def test_only_hourly_and_more_frequent_models_are_due(self, planned: Project) -> None:
        with at("2024-01-09 13:05"):
            report = planned.run()
        report.assert_only_executed("shop.clicks", "shop.hourly")
        report.assert_executed(
            "shop.hourly", intervals=("2024-01-09 12:00", "2024-01-09 13:00"), batches=1
        )
        report.assert_skipped("shop.daily", "shop.weekly", "shop.report", reason="cron_not_due")
        assert report.completion == "success"

    def test_next_due_is_true_to_the_second(self, planned: Project) -> None:
        with at("2024-01-09 12:20"):
            due = planned.run()["shop.daily"].next_due
        assert due == utc("2024-01-10 00:00")
        with at("2024-01-09 23:59:57"):
            planned.run().assert_skipped("shop.daily")
        with at("2024-01-10 00:00"):
            planned.run().assert_executed("shop.daily")

    @pytest.mark.long
    def test_next_due_is_not_always_the_next_tick(self, planned: Project) -> None:
        """A run into the future has loaded what the next ticks would have loaded."""
        with at("2024-01-09 12:20"):
            planned.run(execution_time="2024-01-12 00:00:00", end="2024-01-12 00:00:00")
            daily = planned.run()["shop.daily"]
        assert (daily.loaded_through, daily.next_due) == (utc("2024-01-12"), utc("2024-01-13"))
        with at("2024-01-12 23:59:57"):
            planned.run().assert_skipped("shop.daily", reason="cron_not_due")
        with at("2024-01-13 00:00"):
            planned.run().assert_executed("shop.daily")

    def test_held_back_is_what_ignore_cron_evaluates(self, planned: Project) -> None:
        with at("2024-01-10 01:00"):
            planned.run().assert_skipped("shop.weekly")
        with at("2024-01-10 01:10"):
            weekly = planned.run()["shop.weekly"]
            assert weekly.held_back == ((utc("2024-01-07"), utc("2024-01-10")),)
            assert weekly.loaded_through == utc("2024-01-07")
            report = planned.run(ignore_cron=True)
        report.assert_executed("shop.weekly", intervals=("2024-01-07", "2024-01-10"))
        report.assert_skipped("shop.daily", reason="up_to_date")

    def test_a_loaded_seed_has_no_changes(self, project: Project) -> None:
        project.write("seeds/codes.csv", "id,code\n1,a\n")
        project.model(
            "s.codes", "", kind="SEED (path '../seeds/codes.csv')", columns="(id INT, code TEXT)"
        )
        with at("2024-01-09 12:00"):
            project.plan().assert_executed("s.codes")
        project.write("seeds/codes.csv", "id,code\n1,b\n")
        project.reload()
        with at("2024-01-11 12:00"):
            codes = project.run()["s.codes"]
        assert (codes.status, codes.reasons) == ("skipped", ("no_changes",))
        assert codes.local_edit
        assert codes.message == "skipped: its seed is loaded"


class TestWindow:
    def test_intervals_beyond_start_and_end_are_outside_the_window(self, planned: Project) -> None:
        with at("2024-01-12 01:00"):
            report = planned.run(start="2024-01-01", end="2024-01-09")
            report.assert_skipped("shop.weekly", reason="cron_not_due")
            report.assert_executed("shop.daily", intervals=("2024-01-09", "2024-01-10"))
            assert "outside_window" in report["shop.daily"].reasons
            again = planned.run(start="2024-01-01", end="2024-01-09")
            again.assert_skipped("shop.daily", "shop.hourly", reason="outside_window")

    def test_the_wall_clock_ends_the_window(self, planned: Project) -> None:
        with at("2024-01-09 12:20"):
            first = planned.run(execution_time="2024-01-11 00:00:00")
            second = planned.run(execution_time="2024-01-11 00:00:00")
        # SQLMesh rounds the wall clock up to the end of the model's interval unit.
        first.assert_executed("shop.daily", intervals=("2024-01-09", "2024-01-10"))
        assert first["shop.daily"].reason == "outside_window"
        second.assert_skipped("shop.daily", reason="outside_window")
        assert second.execution_time == utc("2024-01-11")
        left_out = "partly held back: its missing intervals are outside the invocation's window"
        assert left_out in first["shop.daily"].message
        assert second.explain("shop.daily").endswith(
            "It had work to do at this execution_time: pass it as end, too, to evaluate it."
        )

    def test_a_past_execution_time_alone_is_not_a_window(self, planned: Project) -> None:
        with at("2024-01-12 00:00"):
            report = planned.run(execution_time="2024-01-09 12:20:00")
        report.assert_nothing_executed()
        assert set(report.by_reason) == {"cron_not_due"}

    def test_a_window_smaller_than_the_interval_unit(self, planned: Project) -> None:
        with at("2024-01-10 00:30"):
            report = planned.run(start="2024-01-09 20:00:00", end="2024-01-09 23:00:00")
        report.assert_skipped("shop.daily", reason="outside_window")
        report.assert_executed("shop.hourly")


class TestLifetime:
    def test_a_model_that_has_not_started(self, project: Project) -> None:
        project.incremental("s.now", "SELECT @start_dt AS ts", cron="'@daily'")
        project.incremental(
            "s.later", "SELECT @start_dt AS ts", cron="'@daily'", start="'2024-02-01'"
        )
        with at("2024-01-09 12:00"):
            project.plan(skip_backfill=True, no_gaps=True)
            later = project.run()["s.later"]
        assert (later.status, later.reasons) == ("skipped", ("not_started",))
        assert later.next_due == utc("2024-02-02")
        with at("2024-02-02 00:00"):
            project.run().assert_executed("s.later")

    def test_a_model_that_has_ended(self, project: Project) -> None:
        project.incremental("s.past", "SELECT @start_dt AS ts", cron="'@daily'", end="'2024-01-05'")
        with at("2024-01-04 12:00"):
            project.plan()
        with at("2024-01-09 12:00"):
            project.run().assert_executed("s.past", intervals=("2024-01-04", "2024-01-06"))
            past = project.run()["s.past"]
        assert (past.reasons, past.next_due) == (("ended",), None)


class TestSelection:
    def test_unselected_models_are_skipped(self, planned: Project) -> None:
        with at("2024-01-10 01:00"):
            report = planned.run(select_models=["shop.hourly"])
        report.assert_only_executed("shop.hourly", "shop.clicks")
        assert report["shop.daily"].reasons == ("not_selected",)
        assert report["shop.weekly"].reasons == ("not_selected", "cron_not_due")
        assert "It had work to do: select it" in report.explain("shop.daily")

    def test_without_upstream_only_the_selected_model_runs(self, planned: Project) -> None:
        with at("2024-01-10 01:00"):
            report = planned.run(select_models=["shop.hourly"], no_auto_upstream=True)
        report.assert_only_executed("shop.hourly")
        report.assert_skipped("shop.clicks", reason="not_selected")

    def test_a_selector_without_a_match(self, planned: Project) -> None:
        with at("2024-01-10 01:00"):
            report = planned.run(select_models=["shop.nothing*"])
        assert report.by_reason["not_selected"] == report.skipped
        assert report.completion == "nothing_to_do"


class TestEnvironment:
    def test_a_model_that_was_never_planned(self, planned: Project) -> None:
        planned.model("shop.new", "SELECT 1 AS id")
        planned.reload()
        with at("2024-01-10 01:00"):
            report = planned.run()
        report.assert_skipped("shop.new", reason="not_in_environment")
        report.assert_executed("shop.daily")

    def test_an_edited_model_runs_as_planned(self, planned: Project) -> None:
        planned.incremental(
            "shop.daily", "SELECT ts, amount, 2 AS two FROM shop.hourly", cron="'@daily'"
        )
        planned.reload()
        with at("2024-01-10 01:00"):
            report = planned.run()
        report.assert_executed("shop.daily")
        edited = {name for name, outcome in report.outcomes.items() if outcome.local_edit}
        assert edited == {"shop.daily"}

    def test_a_model_deleted_locally_still_runs(self, planned: Project) -> None:
        (planned.path / "models/shop.report.sql").unlink()
        planned.reload()
        with at("2024-01-10 01:00"):
            planned.run().assert_executed("shop.report")

    def test_an_environment_that_does_not_exist(self, planned: Project) -> None:
        with (
            at("2024-01-10 01:00"),
            sqlmesh_run_tracker(planned.context) as tracker,
            pytest.raises(Exception, match="'nowhere' was not found"),
        ):
            planned.context.run("nowhere")
        report = tracker.last
        assert (report.environment, report.completion) == ("nowhere", "raised")
        assert "'nowhere' was not found" in str(report.error)
        assert report.interrupted == set(report.outcomes)
        assert set(report.by_reason) == {"environment_missing"}

    @pytest.mark.long
    def test_an_invalid_execution_time(self, planned: Project) -> None:
        with (
            at("2024-01-10 01:00"),
            sqlmesh_run_tracker(planned.context) as tracker,
            pytest.raises(ValueError, match="Could not convert"),
        ):
            planned.context.run(execution_time="in a while or so")
        assert tracker.last.completion == "raised"
        assert tracker.last.execution_time == tracker.last.started_at
        assert tracker.last.arguments == {"execution_time": "in a while or so"}

    def test_relative_times_mean_the_same_when_the_report_is_read_later(
        self, planned: Project
    ) -> None:
        with sqlmesh_run_tracker(planned.context) as tracker:
            with at("2024-01-11 01:00"):
                planned.context.run(execution_time="1 day ago")
            with at("2024-01-20 01:00"):
                report = tracker.last
        assert report.execution_time.date() == utc("2024-01-10").date()
        report.assert_executed("shop.daily", intervals=("2024-01-09", "2024-01-10"))
        assert report["shop.weekly"].next_due == utc("2024-01-14")

    def test_a_run_of_a_dev_environment(self, planned: Project) -> None:
        planned.incremental(
            "shop.daily", "SELECT ts, amount, 2 AS two FROM shop.hourly", cron="'@daily'"
        )
        planned.reload()
        with at("2024-01-09 12:30"):
            planned.plan("dev")
        with at("2024-01-10 01:00"):
            report = planned.run("dev")
        report.assert_executed("shop.daily", "shop.clicks")
        assert report.environment == "dev"
        with at("2024-01-10 01:10"):
            prod = planned.run()
        # The hourly version is the same in both environments, so dev has loaded it for prod.
        prod.assert_skipped("shop.hourly", reason="cron_not_due")
        prod.assert_executed("shop.daily")


class TestKinds:
    def test_external_and_embedded_models_have_nothing_to_evaluate(self, project: Project) -> None:
        project.write(
            "external_models.yaml",
            """
            - name: raw.orders
              columns: {id: int}
            """,
        )
        project.model("s.embedded", "SELECT id FROM raw.orders", kind="EMBEDDED")
        project.model("s.orders", "SELECT id FROM s.embedded", cron="'@daily'")
        with at("2024-01-09 12:00"):
            project.execute("CREATE SCHEMA raw; CREATE TABLE raw.orders AS SELECT 1 AS id")
            plan = project.plan()
        with at("2024-01-10 12:00"):
            run = project.run()
        for report in (plan, run):
            report.assert_outcomes(
                {
                    "raw.orders": "not_evaluatable",
                    "s.embedded": "not_evaluatable",
                    "s.orders": "executed",
                },
                exact=True,
            )
            assert list(report.outcomes) == ["raw.orders", "s.embedded", "s.orders"]
        assert run["s.embedded"].upstream == ("raw.orders",)
        assert [run[name].kind for name in run.outcomes] == ["external", "embedded", "full"]

    def test_without_an_environment_they_are_not_interrupted(self, project: Project) -> None:
        """There was nothing to interrupt, and no total counts them."""
        project.write("external_models.yaml", "- {name: raw.orders, columns: {id: int}}")
        project.model("s.orders", "SELECT id FROM raw.orders", cron="'@daily'")
        with at("2024-01-09 12:00"), sqlmesh_run_tracker(project.context, longest_wait=0) as run:
            with pytest.raises(SQLMeshError):
                project.context.run()
            with pytest.raises(PlanError):
                project.context.plan("prod", start="2024-01-02", no_prompts=True)
        for report in run.reports:
            report.assert_outcomes({"raw.orders": "not_evaluatable", "s.orders": "interrupted"})
            assert report.counted == (report["s.orders"],)

    def test_audits_of_external_models_and_standalone_audits_are_audited(
        self, project: Project
    ) -> None:
        project.write(
            "external_models.yaml",
            """
            - name: raw.orders
              columns: {id: int}
              audits:
                - name: not_null
                  columns: "[id]"
            """,
        )
        project.model("s.orders", "SELECT id FROM raw.orders", cron="'@daily'")
        project.write(
            "audits/lonely.sql",
            "AUDIT (name lonely, standalone TRUE, dialect duckdb);\n"
            "SELECT id FROM s.orders WHERE id > 5",
        )
        with at("2024-01-09 12:00"):
            project.execute("CREATE SCHEMA raw; CREATE TABLE raw.orders AS SELECT 1 AS id")
            project.plan()
            project.execute("INSERT INTO raw.orders VALUES (9)")
        with at("2024-01-10 12:00"):
            report = project.run()
        report.assert_outcomes({"raw.orders": "audited", "lonely": "audited"})
        report.assert_only_executed("s.orders")
        assert report["lonely"].kind == "audit"
        report.assert_audit_failed("lonely", "lonely")

    def test_a_python_model(self, project: Project) -> None:
        project.write(
            "models/py.py",
            """
            import typing as t
            import pandas as pd
            from sqlmesh import ExecutionContext, model

            @model("s.py", kind="FULL", cron="@daily", columns={"id": "int"})
            def execute(context: ExecutionContext, **kwargs: t.Any) -> pd.DataFrame:
                return pd.DataFrame([{"id": 1}])
            """,
        )
        with at("2024-01-09 12:00"):
            project.plan().assert_executed("s.py")
            project.run().assert_skipped("s.py", reason="cron_not_due")


class TestBatches:
    def test_every_batch_is_reported(self, project: Project) -> None:
        project.incremental(
            "s.batched", "SELECT @start_dt AS ts", ", batch_size 2", cron="'@daily'"
        )
        with at("2024-01-06 12:00"):
            batched = project.plan()["s.batched"]
        spans = [(b.index, b.start.day, b.end.day, b.status) for b in batched.batches]
        assert spans == [(0, 1, 3, "executed"), (1, 3, 5, "executed"), (2, 5, 6, "executed")]
        assert batched.duration
        assert all(batch.duration < batched.duration for batch in batched.batches if batch.duration)
        assert batched.started_at
        assert batched.finished_at
        assert batched.started_at < batched.finished_at

    def test_one_batch_of_several_fails(self, project: Project) -> None:
        project.incremental(
            "s.batched",
            "SELECT CASE WHEN @start_ds = '2024-01-03' THEN error('no data') END, @start_dt AS ts",
            ", batch_size 1",
            cron="'@daily'",
        )
        project.model("s.after", "SELECT * FROM s.batched", cron="'@daily'")
        with at("2024-01-06 12:00"):
            report = project.plan()
        batched = report["s.batched"]
        assert (batched.status, batched.partial) == ("failed", True)
        assert [b.status for b in batched.batches if b.start.day == 3] == ["failed"]
        assert len(batched.recorded_batches) == 4
        report.assert_failed("s.batched", reason="error", match="no data")
        report.assert_skipped("s.after", reason="upstream_failed")
        with pytest.raises(AssertionError, match=r"s\.batched was partially executed"):
            report.assert_not_executed("s.batched")

    def test_the_batches_after_a_failed_one_of_a_chain_are_skipped(self, project: Project) -> None:
        project.incremental(
            "s.chain",
            "SELECT CASE WHEN @start_ds = '2024-01-03' THEN error('no data') END, @start_dt AS ts",
            ", batch_size 1, batch_concurrency 1",
            cron="'@daily'",
        )
        with at("2024-01-06 12:00"):
            chain = project.plan()["s.chain"]
        statuses = [str(batch.status) for batch in chain.batches]
        assert statuses == ["executed", "executed", "failed", "skipped", "skipped"]
        assert (chain.status, chain.partial) == ("failed", True)


class TestReportsLast:
    def test_a_later_run_does_not_change_a_report(self, planned: Project) -> None:
        with sqlmesh_run_tracker(planned.context) as tracker:
            with at("2024-01-10 00:10"):
                planned.context.run(select_models=["shop.clicks"])
            with at("2024-01-15 00:10"):
                planned.context.run()
            first, second = tracker.reports
        assert first["shop.hourly"].loaded_through == utc("2024-01-09 12:00")
        assert first["shop.weekly"].next_due == utc("2024-01-14")
        assert first["shop.weekly"].status is Status.SKIPPED
        second.assert_executed("shop.weekly", "shop.hourly")

    def test_a_report_survives_its_file(self, planned: Project) -> None:
        with at("2024-01-10 00:10"):
            report = planned.run()
        assert RunReport.from_json(report.to_json()) == report
        assert report["shop.weekly"].evidence == {Reason.CRON_NOT_DUE: "inferred"}

    def test_outcomes_and_starts_are_in_topological_order(self, planned: Project) -> None:
        with at("2024-01-14 00:10"):
            report = planned.run()
        names = ["shop.clicks", "shop.hourly", "shop.daily", "shop.weekly"]
        assert [name for name in report.outcomes if name in names] == names
        report.assert_execution_order(*names)
        with pytest.raises(AssertionError, match="did not start before"):
            report.assert_execution_order("shop.hourly", "shop.clicks")


def test_models_have_the_names_that_users_write(project: Project) -> None:
    project.incremental("s.Orders", "SELECT @start_dt AS ts", cron="'@daily'")
    project.model('s."odd name"', "SELECT 1 AS id FROM s.orders", cron="'@daily'")
    with at("2024-01-06 12:00"):
        report = project.plan()
    assert list(report.outcomes) == ["s.Orders", 's."odd name"']
    orders = project.context.get_model("s.orders", raise_if_missing=True)
    snapshot = project.context.get_snapshot("s.orders", raise_if_missing=True)
    for name in ("s.orders", "S.ORDERS", "wh.s.orders", '"wh"."s"."orders"', orders, snapshot):
        assert report[name].name == "s.Orders"
    assert {o.name for o in report.matching("s.*")} == set(report.outcomes)
    report.assert_executed("wh.s.*")


def test_lookback_and_reads(project: Project) -> None:
    """A model with lookback evaluates loaded intervals again: they are reported as executed too."""
    project.incremental("s.raw", "SELECT @start_dt AS ts, 1 AS amount", cron="'@daily'")
    project.incremental("s.late", read_between("s.raw"), ", lookback 2", cron="'@daily'")
    with at("2024-01-06 12:00"):
        project.plan()
    with at("2024-01-07 12:00"):
        report = project.run()
    report.assert_executed("s.late", intervals=("2024-01-04", "2024-01-07"))
    report.assert_executed("s.raw", intervals=("2024-01-06", "2024-01-07"))
    with at("2024-01-07 13:00"):
        project.run().assert_skipped("s.late", reason="cron_not_due")


def test_an_undetermined_cron_has_no_next_due(project: Project) -> None:
    """Of the hours of a day, another process can find other ones due than this one."""
    project.model("s.office", "SELECT 1 AS id", cron="'0 8-18 * * *'")
    project.model("s.weekdays", "SELECT 1 AS id", cron="'0 9 * * 1-5'")
    with at("2024-01-09 12:30"):
        project.plan()
        report = project.run()
    assert report["s.office"].undetermined_cron
    assert report["s.office"].safe_cron == "0 * * * *"
    assert report["s.office"].next_due is None
    assert not report["s.weekdays"].undetermined_cron
    assert report["s.weekdays"].next_due == datetime(2024, 1, 10, 9, tzinfo=timezone.utc)

"""Plans: first plans, changes, failures, no changes, only audits, and plans not applied."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from tests.projects import Project, at


@pytest.fixture
def orders(project: Project) -> Project:
    """raw → orders → totals and names; planned to prod on January 9th."""
    daily = {"cron": "'@daily'"}
    project.incremental("s.raw", "SELECT @start_dt AS ts, 1 AS id", **daily)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **daily)
    project.model("s.totals", "SELECT COUNT(*) AS n FROM s.orders", **daily)
    project.model("s.names", "SELECT 'a' AS name", **daily)
    project.plan_once("2024-01-09 12:00")
    return project


def test_a_first_plan_executes_everything(shop: Project) -> None:
    with at("2024-01-09 12:10"):
        report = shop.plan()
    report.assert_executed("shop.*")
    assert (report.command, report.environment, report.completion) == ("plan", "prod", "success")
    assert report.arguments == {"environment": None, "auto_apply": True, "no_prompts": True}
    assert report.skipped == report.failed == frozenset()


def test_a_plan_without_changes_has_nothing_to_do(orders: Project) -> None:
    with at("2024-01-11 12:00"):
        report = orders.plan()
    assert report.completion == "nothing_to_do"
    assert report.by_reason == {"no_changes": frozenset(report.outcomes)}
    held_back = [(i.start.day, i.end.day) for i in report["s.totals"].held_back]
    assert held_back == [(9, 11)]


def test_a_change_executes_affected_models(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT ts, id, 2 AS two FROM s.raw", cron="'@daily'")
    orders.model("s.new", "SELECT * FROM s.totals", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    report.assert_executed("s.orders", "s.new")
    report.assert_skipped("s.raw", "s.names", reason="no_changes")
    # A new column is not a breaking change: what reads the table keeps its data.
    report.assert_skipped("s.totals", reason="reused")
    assert report["s.totals"].change_category == "indirect_non_breaking"


def test_a_breaking_change_executes_downstream_models(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT ts, 7 AS id FROM s.raw", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    report.assert_only_executed("s.orders", "s.totals")


def test_a_dev_environment_executes_changed_models_and_prod_reuses_them(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT ts, 7 AS id FROM s.raw", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        dev = orders.plan("dev")
        prod = orders.plan()
    dev.assert_only_executed("s.orders", "s.totals")
    dev.assert_skipped("s.raw", "s.names", reason="no_changes")
    prod.assert_nothing_executed()
    prod.assert_skipped("s.orders", "s.totals", reason="reused")
    assert prod["s.orders"].change_category == "breaking"
    assert prod.completion == "success"


def test_a_change_of_metadata_alone_is_reused(orders: Project) -> None:
    orders.model("s.names", "SELECT 'a' AS name", cron="'@daily'", description="'All names.'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    report.assert_skipped("s.names", reason="reused")
    assert report["s.names"].change_category == "metadata"


def test_a_change_of_audits_alone_is_audited(orders: Project) -> None:
    orders.model(
        "s.names", "SELECT 'a' AS name", cron="'@daily'", audits="(not_null(columns := (name)))"
    )
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    assert report["s.names"].status == "audited"
    assert [(a.name, a.passed) for a in report["s.names"].audits] == [("not_null", True)]
    report.assert_nothing_executed()
    assert report.audited == {"s.names"}


def test_a_blocking_audit_that_fails_in_an_audit_only_plan(orders: Project) -> None:
    orders.model(
        "s.names", "SELECT 'a' AS name", cron="'@daily'",
        audits="(accepted_values(column := name, is_in := ('b')))",
    )  # fmt: skip
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    report.assert_failed("s.names", reason="audit_failed")
    report.assert_audit_failed("s.names", "accepted_values")
    report.assert_nothing_executed()
    assert report.completion == "failure"


def test_a_failure_in_a_plan(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT ts, error('no') AS id FROM s.raw", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    assert report.completion == "failure"
    assert "Plan application failed" in str(report.error)
    report.assert_failed("s.orders", match="no")
    report.assert_skipped("s.totals", reason="upstream_failed")
    assert report["s.totals"].blocked_by == ("s.orders",)
    report.assert_skipped("s.names", "s.raw", reason="no_changes")


def test_a_removed_model_is_listed(orders: Project) -> None:
    (orders.path / "models/s.totals.sql").unlink()
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan()
    assert report.removed == ("s.totals",)
    assert "s.totals" not in report.outcomes


class TestNotApplied:
    @pytest.fixture
    def changed(self, orders: Project) -> Project:
        orders.model("s.names", "SELECT 'b' AS name", cron="'@daily'")
        orders.reload()
        return orders

    def test_a_declined_plan_evaluates_nothing(self, changed: Project) -> None:
        with at("2024-01-09 13:00"):
            report = changed.unwitnessed_plan(auto_apply=False)
        report.assert_nothing_executed()
        report.assert_skipped("s.names", reason="not_applied")
        report.assert_skipped("s.raw", "s.orders", reason="no_changes")
        assert report.completion == "success"

    @pytest.mark.parametrize(
        ("window", "status", "reason"),
        [
            ({}, "audited", "not_applied"),
            # SQLMesh audits only within the plan's dates, and the model starts later.
            ({"start": "2023-12-01", "end": "2023-12-02"}, "skipped", "reused"),
        ],
    )
    def test_a_declined_plan_runs_no_changed_audits(
        self, orders: Project, window: dict[str, str], status: str, reason: str
    ) -> None:
        orders.incremental(
            "s.orders", "SELECT ts, id FROM s.raw", cron="'@daily'",
            start="'2024-01-01'", audits="(not_null(columns := (id)))",
        )  # fmt: skip
        orders.reload()
        with at("2024-01-09 13:00"):
            declined = orders.unwitnessed_plan("dev", auto_apply=False, **window)
            applied = orders.plan("dev", **window)
        assert applied["s.orders"].status == status
        declined.assert_skipped("s.orders", reason=reason)

    def test_an_explained_plan_is_printed_and_not_applied(
        self, changed: Project, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """SQLMesh explains only on a terminal console, which the proxy must not hide."""
        from rich.console import Console
        from sqlmesh.core.console import TerminalConsole

        changed.context.console = TerminalConsole(console=Console(width=120))
        with at("2024-01-09 13:00"):
            report = changed.unwitnessed_plan(explain=True)
        assert "Explained plan" in capsys.readouterr().out
        report.assert_skipped("s.names", reason="not_applied")

    def test_a_rejected_plan_interrupts_everything(self, changed: Project) -> None:
        with (
            at("2024-01-09 13:00"),
            sqlmesh_run_tracker(changed.context) as tracker,
            pytest.raises(Exception, match="did not return any models"),
        ):
            changed.context.plan("dev", restate_models=["s.nothing*"], no_prompts=True)
        report = tracker.last
        assert (report.completion, report.environment) == ("raised", "dev")
        assert report.by_reason == {"command_failed": frozenset(report.outcomes)}

    def test_a_plan_that_is_applied_later_is_an_invocation_of_its_own(
        self, changed: Project
    ) -> None:
        with at("2024-01-09 13:00"), sqlmesh_run_tracker(changed.context) as tracker:
            plan = changed.context.plan(no_prompts=True, auto_apply=False)
            changed.context.apply(plan)
            changed.context.apply(changed.context.plan_builder().build())
        declined, applied, nothing = tracker.reports
        declined.assert_skipped("s.names", reason="not_applied")
        applied.assert_only_executed("s.names")
        assert (applied.command, applied.arguments) == ("plan", {})
        assert nothing.completion == "nothing_to_do"

    def test_a_builder_created_while_tracking_is_tracked(self, changed: Project) -> None:
        with at("2024-01-09 13:00"), sqlmesh_run_tracker(changed.context) as tracker:
            changed.context.plan_builder().apply()
        tracker.assert_only_executed("s.names")


def test_a_plan_with_a_selection_reports_unselected_models(orders: Project) -> None:
    orders.model("s.names", "SELECT 'b' AS name", cron="'@daily'")
    orders.incremental("s.orders", "SELECT ts, 7 AS id FROM s.raw", cron="'@daily'")
    orders.model("s.new", "SELECT 1 AS id", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan("dev", select_models=["s.names"])
    report.assert_only_executed("s.names")
    report.assert_skipped("s.orders", "s.totals", "s.new", reason="not_selected")


def test_skipped_and_emptied_backfills(orders: Project) -> None:
    orders.model("s.names", "SELECT 'b' AS name", cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        skipped = orders.plan("dev", skip_backfill=True)
        emptied = orders.unwitnessed_plan(environment="dev2", empty_backfill=True, auto_apply=True)
    skipped.assert_skipped("s.names", reason="backfill_skipped")
    skipped.assert_skipped("s.raw", reason="no_changes")
    # Its interval is booked as loaded all the same, by SQLMesh's own choice.
    emptied.assert_skipped("s.names", reason="backfill_emptied")
    emptied.assert_nothing_executed()


def test_an_emptied_backfill_of_a_lookback(orders: Project) -> None:
    """Only what the next run would reload is in the plan's window, and that was loaded before."""
    options = ", lookback 2"
    orders.incremental("s.raw", "SELECT @start_dt AS ts, 2 AS id", options, cron="'@daily'")
    orders.reload()
    with at("2024-01-09 13:00"):
        orders.plan()
    orders.model("s.new", "SELECT 1 AS id", cron="'@daily'")
    orders.reload()
    with at("2024-01-10 12:00"):
        emptied = orders.unwitnessed_plan(empty_backfill=True, auto_apply=True)
    emptied.assert_skipped("s.new", reason="backfill_emptied")
    emptied.assert_skipped("s.raw", reason="no_changes")


def test_failing_before_all_statements_interrupt_models_with_missing_intervals(
    orders: Project,
) -> None:
    config = (orders.path / "config.yaml").read_text()
    (orders.path / "config.yaml").write_text(f'{config}before_all:\n- "SELECT * FROM raw.gate"\n')
    orders.model("s.names", "SELECT 'b' AS name", cron="'@daily'")
    from sqlmesh import Context

    context = Context(paths=str(orders.path))
    with at("2024-01-09 13:00"), sqlmesh_run_tracker(context) as tracker:
        with pytest.raises(Exception, match="gate"):
            context.plan(auto_apply=True, no_prompts=True)
    assert tracker.last.completion == "raised"
    tracker.assert_outcomes({"s.names": "command_failed", "s.raw": "no_changes"})
    assert tracker.last.interrupted == {"s.names"}


def test_a_plan_that_fails_in_promotion(project: Project) -> None:
    """SQLMesh: a new model that is not due yet gets no table, and its view can't be made."""
    project.model("s.daily", "SELECT 1 AS id", cron="'@daily'")
    project.model("s.later", "SELECT 1 AS id", cron="'@daily'", start="'2024-02-01'")
    raised = ""
    with at("2024-01-03 12:00"), sqlmesh_run_tracker(project.context) as tracker:
        try:
            project.context.plan(auto_apply=True, no_prompts=True)
        except Exception as error:
            raised = str(error)
    tracker.assert_executed("s.daily")
    tracker.assert_not_executed("s.later")
    if raised:
        assert "Execution failed for node" in raised
        tracker.assert_failed("s.later", reason="creation_failed")
        assert tracker.last.completion == "failure"
    else:
        # Before 0.210 the plan creates all tables first, and nothing fails.
        tracker.assert_skipped("s.later", reason="not_started")
        assert tracker.last.completion == "success"


def test_a_batch_that_ends_before_it_starts(project: Project) -> None:
    """SQLMesh: a new weekly model before its first tick is scheduled from its start back to it."""
    project.model("s.daily", "SELECT 1 AS id", cron="'@daily'")
    project.model("s.weekly", "SELECT 1 AS id", cron="'@weekly'")
    with at("2024-01-03 12:00"):
        report = project.plan()
    report.assert_executed("s.daily")
    report.assert_failed("s.weekly", match="can't be greater than end date")

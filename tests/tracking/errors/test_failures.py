"""Failures: what failed, what was skipped as a result, and which model is the root cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import GatePolicy, sqlmesh_run_tracker
from tests.projects import Project, at

SWITCHES = "CREATE SCHEMA raw; CREATE TABLE raw.broken AS SELECT 'nothing' AS model"


def breakable(name: str, upstream: str | None = None) -> str:
    """The query of a model that fails while its name is in `raw.broken`."""
    source = f"FROM {upstream}" if upstream else "FROM (SELECT 1 AS id)"
    return (
        f"SELECT id, CASE WHEN '{name}' IN (SELECT model FROM raw.broken) "
        f"THEN error('{name} is broken') END AS fault {source}"
    )


@pytest.fixture(params=[1, 4], ids=["one task", "four tasks"])
def fan(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """Three levels: root → left, right → their children → bottom, which reads both sides."""
    project = Project(tmp_path, concurrent_tasks=request.param)
    daily = {"cron": "'@daily'"}
    project.model("f.root", breakable("f.root"), **daily)
    for side in ("left", "right"):
        project.model(f"f.{side}", breakable(f"f.{side}", "f.root"), **daily)
        project.model(f"f.{side}_child", f"SELECT id FROM f.{side}", **daily)
    project.model(
        "f.bottom", "SELECT l.id FROM f.left_child AS l JOIN f.right_child USING (id)", **daily
    )
    project.model("f.aside", "SELECT 1 AS id", **daily)
    project.plan_once("2024-01-09 12:00", sql=SWITCHES)
    return project


def test_a_failure_in_the_middle_is_the_root_cause_downstream(fan: Project) -> None:
    fan.execute("INSERT INTO raw.broken VALUES ('f.left')")
    with at("2024-01-10 12:00"):
        report = fan.run()
    report.assert_outcomes(
        {
            "f.root": "executed",
            "f.right": "executed",
            "f.right_child": "executed",
            "f.aside": "executed",
            "f.left": "failed",
            "f.left_child": "upstream_failed",
            "f.bottom": "upstream_failed",
        },
        exact=True,
    )
    report.assert_failed("f.left", reason="error", match=r"f\.left is broken")
    assert report["f.bottom"].blocked_by == ("f.left",)
    assert report["f.left_child"].blocked_by == ("f.left",)
    assert report["f.bottom"].evidence == {"upstream_failed": "observed"}
    assert report.completion == "failure"
    assert report["f.left"].rows is None


def test_two_failures_are_both_root_causes(fan: Project) -> None:
    fan.execute("INSERT INTO raw.broken VALUES ('f.left'), ('f.right')")
    with at("2024-01-10 12:00"):
        report = fan.run()
    assert report["f.bottom"].blocked_by == ("f.left", "f.right")
    assert report["f.right_child"].blocked_by == ("f.right",)
    report.assert_only_executed("f.root", "f.aside")


def test_the_next_run_loads_failed_models(fan: Project) -> None:
    fan.execute("INSERT INTO raw.broken VALUES ('f.left')")
    with at("2024-01-10 12:00"):
        fan.run()
        fan.execute("DELETE FROM raw.broken")
        report = fan.run()
    report.assert_only_executed("f.left", "f.left_child", "f.bottom")
    report.assert_skipped("f.root", "f.right", "f.aside", reason="cron_not_due")


def test_a_root_cause_behind_a_model_that_is_not_due(project: Project) -> None:
    """A child two levels below waits, though the weekly model between has nothing to do."""
    project.model("f.root", breakable("f.root"), cron="'@daily'")
    project.model("f.middle", "SELECT id FROM f.root", cron="'@weekly'")
    project.model("f.child", "SELECT id FROM f.middle", cron="'@daily'")
    with at("2024-01-09 12:00"):
        project.execute(SWITCHES)
        project.plan()
    project.execute("INSERT INTO raw.broken VALUES ('f.root')")
    with at("2024-01-10 12:00"):
        report = project.run()
    report.assert_failed("f.root")
    report.assert_skipped("f.middle", reason="cron_not_due")
    from pytest_sqlmesh_tracker.tracking.compat import sees_through_idle_parents

    if sees_through_idle_parents():
        report.assert_skipped("f.child", reason="upstream_failed")
        assert report["f.child"].blocked_by == ("f.root",)
    else:
        report.assert_executed("f.child")


def test_a_model_whose_program_exits_fails_and_is_not_interrupted(project: Project) -> None:
    """Its materialization catches the SystemExit of what it called: the model has failed."""
    project.write(
        "materializations/loading.py",
        """
        import sys

        from sqlmesh import CustomMaterialization

        class Loading(CustomMaterialization):
            NAME = "loading"

            def insert(self, *args, **kwargs):
                try:
                    sys.exit(3)
                except SystemExit as ended:
                    raise RuntimeError("the loader ended with 3") from ended
        """,
    )
    project.model("f.loaded", "SELECT 1 AS id", kind="CUSTOM (materialization 'loading')")
    project.model("f.below", "SELECT id FROM f.loaded")
    with at("2024-01-09 12:00"):
        report = project.plan()

    assert report.completion == "failure"
    report.assert_failed("f.loaded", reason="error", match="the loader ended with 3")
    report.assert_skipped("f.below", reason="upstream_failed")


class TestAudits:
    @pytest.fixture
    def audited(self, project: Project) -> Project:
        project.write(
            "audits/positive.sql",
            "AUDIT (name positive, dialect duckdb); SELECT * FROM @this_model WHERE id < 0",
        )
        project.write(
            "audits/small.sql",
            "AUDIT (name small, dialect duckdb, blocking FALSE, defaults (limit_ = 10));\n"
            "SELECT * FROM @this_model WHERE id > @limit_",
        )
        project.model(
            "a.audited",
            "SELECT id FROM raw.ids",
            cron="'@daily'",
            audits="(positive, small(limit_ := 5), not_null(columns := (id)))",
        )
        project.model("a.child", "SELECT id FROM a.audited", cron="'@daily'")
        project.plan_once(
            "2024-01-09 12:00", sql="CREATE SCHEMA raw; CREATE TABLE raw.ids AS SELECT 1 AS id"
        )
        return project

    def test_a_blocking_audit_fails_its_model(self, audited: Project) -> None:
        audited.execute("INSERT INTO raw.ids VALUES (-1), (-2), (7)")
        with at("2024-01-10 12:00"):
            report = audited.run()
        report.assert_failed("a.audited", reason="audit_failed", match="positive")
        report.assert_audit_failed("a.audited", "positive")
        report.assert_audit_failed("a.audited", "small")
        audits = {audit.name: audit for audit in report["a.audited"].audits}
        assert (audits["positive"].blocking, audits["positive"].rows_failed) == (True, 2)
        assert (audits["small"].blocking, audits["small"].rows_failed) == (False, 1)
        assert audits["small"].arguments == {"limit_": "5"}
        assert audits["not_null"].passed
        assert report["a.audited"].partial is False
        report.assert_skipped("a.child", reason="upstream_failed")
        report.assert_nothing_executed()

    def test_a_non_blocking_audit_does_not_fail_its_model(self, audited: Project) -> None:
        audited.execute("INSERT INTO raw.ids VALUES (7)")
        with at("2024-01-10 12:00"):
            report = audited.run()
        report.assert_executed("a.audited", "a.child")
        report.assert_audit_failed("a.audited", "small")
        assert [b.audits_failed for b in report["a.audited"].batches] == [1]
        assert [b.audits_passed for b in report["a.audited"].batches] == [2]
        with pytest.raises(AssertionError, match=r"a\.audited had no failed audit 'positive'"):
            report.assert_audit_failed("a.audited", "positive")

    def test_a_failed_non_blocking_audit_is_reported_with_the_outcome(
        self, audited: Project
    ) -> None:
        audited.execute("INSERT INTO raw.ids VALUES (7), (8)")
        with at("2024-01-10 12:00"):
            executed = audited.run()["a.audited"]
        words = "a non-blocking audit failed: small (2 rows)"
        assert executed.message == f"executed in 1 batch: new interval; {words}"
        audited.execute("INSERT INTO raw.ids VALUES (-1)")
        with at("2024-01-11 12:00"):
            report = audited.run()
        assert report["a.audited"].message == f"failed: a blocking audit failed (positive); {words}"
        assert "audit       small (non-blocking), 2 rows failed" in report.explain("a.audited")

    def test_a_gate_warns_of_a_failed_non_blocking_audit_and_a_rule_can_deny_it(
        self, audited: Project
    ) -> None:
        audited.execute("INSERT INTO raw.ids VALUES (7)")
        with at("2024-01-10 12:00"):
            report = audited.run()
        result = GatePolicy().evaluate(report)
        assert result.passed
        assert [(warning.model, warning.audit) for warning in result.warnings] == [
            ("a.audited", "small")
        ]
        denying = GatePolicy([{"models": "a.*", "deny": "nonblocking_audit_failed"}])
        assert [f.message for f in denying.evaluate(report).findings] == [
            "a.audited has a failed non-blocking audit: small (1 row) (denied by rule 1 (a.*))"
        ]


class TestSignals:
    @pytest.fixture
    def signalled(self, project: Project) -> Project:
        """`s.held` waits for a signal until the folder has a file called `ready`."""
        project.write(
            "signals/__init__.py",
            f"""
            from pathlib import Path
            from sqlmesh import signal

            @signal()
            def file_is_there(batch):
                if Path({str(project.path / "explode")!r}).exists():
                    raise RuntimeError("the signal is broken")
                ready = Path({str(project.path / "ready")!r})
                if not ready.exists():
                    return False
                text = ready.read_text()
                if text == "from the second day":
                    return batch[1:]
                return batch[: int(text or len(batch))]
            """,
        )
        daily = {"cron": "'@daily'"}
        project.incremental("s.free", "SELECT @start_dt AS ts", **daily)
        project.incremental("s.held", "SELECT ts FROM s.free", signals="(file_is_there())", **daily)
        project.incremental("s.child", "SELECT ts FROM s.held", **daily)
        project.incremental("s.grandchild", "SELECT ts FROM s.child", **daily)
        project.incremental("s.weekly", "SELECT ts FROM s.held", cron="'@weekly'")
        project.incremental(
            "s.running_total",
            "SELECT ts FROM s.held UNION ALL SELECT ts FROM s.running_total",
            columns="(ts TIMESTAMP)",
            **daily,
        )
        project.write("ready", "")
        with at("2024-01-15 12:00"):
            project.plan()
        (project.path / "ready").unlink()
        return project

    def test_a_signal_holds_back_its_model_and_downstream_models(self, signalled: Project) -> None:
        with at("2024-01-17 12:00"):
            report = signalled.run()
        report.assert_executed("s.free")
        report.assert_skipped("s.held", reason="signal_not_ready")
        report.assert_skipped("s.child", "s.grandchild", reason="upstream_not_ready")
        held = report["s.held"]
        assert [(s.start.day, s.end.day) for s in held.signals["file_is_there"]] == [(15, 17)]
        assert report["s.grandchild"].blocked_by == ("s.held",)
        assert report["s.child"].evidence == {"upstream_not_ready": "observed"}
        assert report.completion == "success"

    def test_a_signal_with_some_ready_intervals(self, signalled: Project) -> None:
        signalled.write("ready", "1")
        with at("2024-01-17 12:00"):
            report = signalled.run()
        report.assert_executed("s.held", "s.child", intervals=("2024-01-15", "2024-01-16"))
        assert report["s.held"].reasons == ("signal_not_ready",)
        assert report["s.child"].reasons == ("upstream_not_ready",)
        assert report["s.child"].blocked_by == ("s.held",)

    def test_a_gap_holds_back_models_that_depend_on_their_past(self, signalled: Project) -> None:
        """The running total needs its own yesterday: what follows the gap waits as well."""
        signalled.write("ready", "from the second day")
        with at("2024-01-18 12:00"):
            report = signalled.run()
        report.assert_executed("s.held", "s.child", intervals=("2024-01-16", "2024-01-18"))
        report.assert_skipped("s.running_total", reason="depends_on_past_gap")
        assert report["s.running_total"].reasons == ("upstream_not_ready", "depends_on_past_gap")
        assert report["s.running_total"].blocked_by == ("s.held",)

    def test_a_signal_that_raises_fails_the_command(self, signalled: Project) -> None:
        signalled.write("explode", "")
        with (
            at("2024-01-17 12:00"),
            sqlmesh_run_tracker(signalled.context) as tracker,
            pytest.raises(Exception, match="the signal is broken"),
        ):
            signalled.context.run()
        report = tracker.last
        assert report.completion == "raised"
        report.assert_outcomes(
            {
                "s.free": "interrupted",
                "s.held": "command_failed",
                "s.child": "command_failed",
                # Nothing of it was due, so nothing of it was interrupted.
                "s.weekly": "cron_not_due",
            }
        )


def test_failing_before_all_statements(fan: Project) -> None:
    config = (fan.path / "config.yaml").read_text()
    (fan.path / "config.yaml").write_text(f'{config}before_all:\n- "SELECT * FROM raw.gate"\n')
    fan.execute("CREATE TABLE raw.gate AS SELECT 1 AS id")
    from sqlmesh import Context

    with at("2024-01-09 13:00"):
        context = Context(paths=str(fan.path))
        context.plan(auto_apply=True, no_prompts=True)
        context.engine_adapter.execute("DROP TABLE raw.gate")
    with (
        at("2024-01-10 12:00"),
        sqlmesh_run_tracker(context) as tracker,
        pytest.raises(Exception, match="gate"),
    ):
        context.run()
    assert tracker.last.completion == "raised"
    assert tracker.last.by_reason["command_failed"] == tracker.last.interrupted
    assert "f.root" in tracker.last.interrupted

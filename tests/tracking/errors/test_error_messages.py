"""What reports say about failures: what failed, in the words of the exception."""

from __future__ import annotations

import re

import pytest

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.render.files import write
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.wording.table import table
from tests.engines.engine import ENGINE
from tests.projects import Project, at, read_between

MISSING_TABLE = ENGINE.errors.missing_table
NOT_THERE = "SELECT * FROM @this_model WHERE id NOT IN (SELECT id FROM raw.not_there)"
RATES = """
import typing as t
from datetime import datetime

import pandas as pd
from sqlmesh import ExecutionContext, model


def ask_the_central_bank():
    raise RuntimeError("central bank answered 503, try again after 06:00")


@model("w.rates", columns={"id": "int"}, kind="FULL")
def execute(
    context: ExecutionContext, start: datetime, end: datetime, execution_time: datetime, **_: t.Any
) -> pd.DataFrame:
    ask_the_central_bank()
"""


def planned(project: Project) -> RunReport:
    with at("2024-01-03 12:00"):
        return project.plan()


class TestAuditsThatCouldNotBeRun:
    """Their own query raises: rows were never searched for."""

    @pytest.fixture
    def audited(self, project: Project) -> Project:
        project.write("audits/known.sql", f"AUDIT (name known, dialect duckdb);\n{NOT_THERE}")
        project.write(
            "audits/small.sql",
            "AUDIT (name small, dialect duckdb, defaults (most = 10));\n"
            "SELECT * FROM @this_model WHERE id > @most AND missing_column",
        )
        return project

    def test_the_message_names_the_audit(self, audited: Project) -> None:
        audited.model("w.a", "SELECT 1 AS id", audits="(not_null(columns := (id)), known)")
        report = planned(audited)
        a = report["w.a"]
        a_report = report.explain("w.a")
        report.assert_failed("w.a", reason="error", match=f"{MISSING_TABLE}: .*not_there")
        assert a.message.startswith(f"failed: its audit known could not be run: {MISSING_TABLE}: ")
        assert a_report.startswith(f"w.a failed: its audit known could not be run: {MISSING_TABLE}")
        assert "\n  audit       known (blocking), could not be run\n" in a_report
        (known,) = [audit for audit in a.audits if audit.name == "known"]
        assert (known.passed, known.rows_failed, known.error) == (False, 0, a.error)
        assert f"w.a: its audit known could not be run: {MISSING_TABLE}" in table(report)

    def test_assert_audit_failed_does_not_accept_it(self, audited: Project) -> None:
        audited.model("w.a", "SELECT 1 AS id", audits="(known)")
        report = planned(audited)
        complaint = "w.a had no failed audit: known could not be run"
        for arguments in ((), ("known",)):
            with pytest.raises(AssertionError, match=complaint):
                report.assert_audit_failed("w.a", *arguments)

    @pytest.mark.parametrize("blocking", ["true", "false"])
    def test_its_model_fails_even_if_it_is_not_blocking(
        self, audited: Project, blocking: str
    ) -> None:
        audits = f"(known(blocking := {blocking}))"
        audited.model("w.a", "SELECT 1 AS id", audits=audits)
        audited.model("w.b", "SELECT id FROM w.a")
        report = planned(audited)
        report.assert_failed("w.a", reason="error")
        report.assert_skipped("w.b", reason="upstream_failed")
        (known,) = report["w.a"].audits
        assert known.blocking is (blocking == "true")
        assert report["w.a"].message.count("known") == 1

    def test_one_of_several_with_the_same_name_is_named_with_its_arguments(
        self, audited: Project
    ) -> None:
        audited.incremental(
            "w.a",
            "SELECT @start_dt AS ts, 5 AS id",
            ", batch_size 1",
            audits="(small(most := 3), small(most := 7))",
        )
        report = planned(audited)
        assert [audit.arguments for audit in report["w.a"].audits] == [{"most": "3"}]
        assert (
            f"its audit small could not be run: {ENGINE.errors.missing_column}: "
            in report["w.a"].message
        )

    def test_a_standalone_audit(self, audited: Project) -> None:
        audited.write(
            "audits/alone.sql",
            "AUDIT (name alone, dialect duckdb, standalone true);\n"
            "SELECT id FROM w.a WHERE id NOT IN (SELECT id FROM raw.not_there)",
        )
        audited.model("w.a", "SELECT 1 AS id")
        report = planned(audited)
        report.assert_executed("w.a")
        report.assert_failed("alone", reason="error")
        assert report["alone"].message.startswith(
            f"failed: its audit alone could not be run: {MISSING_TABLE}"
        )

    def test_an_audit_only_plan(self, audited: Project) -> None:
        audited.model("w.a", "SELECT 1 AS id", audits="(known)")
        with at("2024-01-03 12:00"):
            audited.execute("CREATE SCHEMA raw; CREATE TABLE raw.not_there AS SELECT 1 AS id")
            audited.plan().assert_executed("w.a")
            audited.execute("DROP TABLE raw.not_there")
            with (
                sqlmesh_run_tracker(audited.context) as tracker,
                pytest.raises(Exception, match="not_there"),
            ):
                audited.context.audit(start="2024-01-01", end="2024-01-02")
        tracker.last.assert_failed("w.a", reason="error")
        assert f"its audit known could not be run: {MISSING_TABLE}" in tracker.last["w.a"].message


def test_the_failed_one_of_two_audits_with_the_same_name_is_named(project: Project) -> None:
    audits = "(not_null(columns := (a)), not_null(columns := (b)))"
    project.model("w.a", "SELECT 1 AS a, NULL::INT AS b", audits=audits)
    message = planned(project)["w.a"].message
    assert message == "failed: a blocking audit failed (not_null(columns := (b)))"


class TestIntervalsThatCouldNotBeRecorded:
    def test_the_rows_are_written_anyway(self, project: Project) -> None:
        """SQLMesh's table of intervals takes one row a model, and no second one."""
        project.incremental("w.a", read_between("raw.events"), ", batch_size 1", cron="'@daily'")
        project.model("w.b", "SELECT ts FROM w.a", cron="'@daily'")
        project.execute("CREATE SCHEMA raw; CREATE TABLE raw.events (ts TIMESTAMP, amount INT)")
        with at("2024-01-02 12:00"):
            project.plan()
        project.execute(
            "INSERT INTO raw.events VALUES ('2024-01-02 12:00', 1), ('2024-01-03 12:00', 2)"
        )
        project.execute_in_state("CREATE UNIQUE INDEX once ON sqlmesh._intervals (name)")
        with at("2024-01-04 12:00"):
            report = project.run(skip_janitor=True)
        a = report["w.a"]
        assert project.context.engine_adapter.fetchone("SELECT count(*) FROM w.a") == (2,)
        report.assert_failed("w.a", reason="error", match=ENGINE.errors.constraint)
        report.assert_skipped("w.b", reason="upstream_failed")
        assert a.message.startswith(
            "failed in 2 of 2 batches; none recorded: its rows were written, but its interval "
            f"could not be recorded: {ENGINE.errors.constraint}: "
        )
        assert [batch.unrecorded for batch in a.batches] == [True, True]
        assert "batch 1 could not be recorded: 2024-01-02" in report.explain("w.a")
        report.assert_not_executed("w.a")


class TestTheUsersOwnExceptionFirst:
    FIRST = "RuntimeError: central bank answered 503, try again after 06:00"

    def test_an_exception_of_a_python_model(self, project: Project) -> None:
        project.write("models/rates.py", RATES)
        report = planned(project)
        rates = report["w.rates"]
        assert rates.message == f"failed: its evaluation raised {self.FIRST}"
        assert rates.error is not None
        first, rest = rates.error.split("\n\n", 1)
        assert first == self.FIRST
        assert rest.startswith("raised as PythonModelEvalError:\n  File 'models/rates.py'")
        assert f"w.rates raised {self.FIRST}\n" in table(report) + "\n"

    def test_an_exception_of_a_macro(self, project: Project) -> None:
        project.write("macros/__init__.py", "")
        project.write(
            "macros/rates.py",
            """
            from sqlmesh import macro

            @macro()
            def rate(evaluator):
                if evaluator.runtime_stage == "evaluating":
                    raise ValueError("the table of rates is empty")
                return "1"
            """,
        )
        project.model("w.a", "SELECT @rate() AS id", columns="(id INT)")
        message = planned(project)["w.a"].message
        assert message == "failed: its evaluation raised ValueError: the table of rates is empty"

    def test_an_exception_of_a_signal(self, project: Project) -> None:
        project.write(
            "signals/__init__.py",
            """
            from sqlmesh import signal

            @signal()
            def partner_feed(batch):
                raise RuntimeError("the partner's feed is down")
            """,
        )
        project.model("w.a", "SELECT 1 AS id", signals="(partner_feed())")
        with (
            at("2024-01-03 12:00"),
            sqlmesh_run_tracker(project.context) as tracker,
            pytest.raises(Exception, match="the partner's feed is down"),
        ):
            project.context.plan(auto_apply=True, no_prompts=True)
        report = tracker.last
        assert (report.error or "").startswith("RuntimeError: the partner's feed is down\n")
        assert report["w.a"].message == "interrupted: the signal partner_feed raised"

    def test_an_exception_of_a_module_in_a_signal(self, project: Project) -> None:
        """SQLMesh's message contains the exception with its module, as tracebacks do."""
        project.write(
            "signals/__init__.py",
            """
            from sqlmesh import signal

            @signal()
            def delivered(batch, context):
                return bool(context.engine_adapter.fetchall("SELECT * FROM raw.nowhere"))
            """,
        )
        project.model("w.a", "SELECT 1 AS id", signals="(delivered())")
        with (
            at("2024-01-03 12:00"),
            sqlmesh_run_tracker(project.context) as tracker,
            pytest.raises(Exception, match="nowhere"),
        ):
            project.context.plan(auto_apply=True, no_prompts=True)
        assert (tracker.last.error or "").startswith(f"{MISSING_TABLE}: ")

    def test_an_exception_of_a_before_all_statement(self, project: Project) -> None:
        config = project.path / "config.yaml"
        config.write_text(config.read_text() + 'before_all: ["SELECT * FROM raw.nowhere"]\n')
        project.model("w.a", "SELECT 1 AS id")
        with (
            at("2024-01-03 12:00"),
            sqlmesh_run_tracker(project.context) as tracker,
            pytest.raises(Exception, match="nowhere"),
        ):
            project.context.plan(auto_apply=True, no_prompts=True)
        error = tracker.last.error or ""
        assert error.startswith(f"{MISSING_TABLE}: ")
        assert "raised as SQLMeshError: An error occurred during execution of the" in error
        message = tracker.last["w.a"].message
        assert message == "interrupted: the before_all statements of the plan failed"

    def test_an_error_of_sqlmesh_with_more_details_than_the_parsers(self, project: Project) -> None:
        broken = "{% if runtime_stage == 'evaluating' %} FROM 1 + {% endif %}"
        query = f"JINJA_QUERY_BEGIN;\nSELECT 1 AS id {broken}\nJINJA_END;"
        project.model("w.a", query, columns="(id INT)")
        error = planned(project)["w.a"].error or ""
        assert error.startswith("ConfigError: Could not ")
        assert "SELECT 1 AS id  FROM 1 +" in error

    def test_an_exception_that_the_user_raised_while_handling_another(
        self, project: Project
    ) -> None:
        text = RATES.replace(
            '    raise RuntimeError("central bank answered 503, try again after 06:00")',
            "    try:\n        {}['EUR']\n    except KeyError:\n"
            "        raise LookupError('there is no rate for EUR')",
        )
        project.write("models/rates.py", text)
        message = planned(project)["w.rates"].message
        assert message == "failed: its evaluation raised LookupError: there is no rate for EUR"


class TestTheRootOfAChain:
    """A database breaks off, and so does the rollback: a custom materialization that does so."""

    DRIVER = """
    from contextlib import contextmanager

    from sqlmesh import CustomMaterialization

    class OperationalError(Exception):
        pass

    class InterfaceError(Exception):
        pass

    def rollback():
        raise {rollback}("connection already closed")

    @contextmanager
    def transaction():
        try:
            yield
        except Exception:
            rollback()
            raise

    class Broken(CustomMaterialization):
        NAME = "{rollback}_in_rollback"

        def insert(self, table_name, *args, **kwargs):
            if getattr(self.adapter, "lost", False):
                raise InterfaceError("cursor already closed")
            self.adapter.lost = True
            with transaction():
                raise OperationalError("server closed the connection unexpectedly")
    """

    @pytest.mark.parametrize("rollback", ["InterfaceError", "RuntimeError"])
    def test_the_first_error_comes_first(self, project: Project, rollback: str) -> None:
        project.write("materializations/broken.py", self.DRIVER.format(rollback=rollback))
        kind = f"CUSTOM (materialization '{rollback}_in_rollback')"
        project.model("w.a", "SELECT 1 AS id", kind=kind)
        a = planned(project)["w.a"]
        assert a.message == (
            "failed: its evaluation raised OperationalError: server closed the connection "
            "unexpectedly"
        )
        assert (a.error or "").endswith(f"\n\nfollowed by {rollback}: connection already closed")

    def test_other_models_name_the_model_that_lost_the_connection(self, project: Project) -> None:
        project.write("materializations/broken.py", self.DRIVER.format(rollback="InterfaceError"))
        kind = "CUSTOM (materialization 'InterfaceError_in_rollback')"
        for name in ("w.a", "w.b"):
            project.model(name, "SELECT 1 AS id", kind=kind)
        report = planned(project)
        assert report["w.b"].message == (
            "failed: its evaluation raised InterfaceError: cursor already closed, after w.a had "
            "failed with OperationalError: server closed the connection unexpectedly"
        )


class TestLaterStages:
    """A plan evaluates in stages; what a failed one leaves undone says why."""

    @pytest.fixture
    def staged(self, project: Project) -> Project:
        scd = "SCD_TYPE_2_BY_COLUMN (unique_key id, columns [id])"
        project.model("w.source", "SELECT error('no file')::INT AS id", columns="(id INT)")
        project.model("w.middle", "SELECT id FROM w.source")
        project.model("w.history", "SELECT id::INT AS id FROM w.middle", kind=scd)
        project.model("w.other", "SELECT 1 AS id")
        project.model("w.other_history", "SELECT id::INT AS id FROM w.other", kind=scd)
        return project

    def test_a_failed_model_upstream_is_the_root_cause(self, staged: Project) -> None:
        report = planned(staged)
        report.assert_failed("w.source")
        report.assert_skipped("w.middle", "w.history", reason="upstream_failed")
        assert report["w.history"].blocked_by == ("w.source",)
        assert report["w.history"].message == "skipped: an upstream model failed (w.source)"

    def test_without_a_failed_upstream_model_the_earlier_stage_is_named(
        self, staged: Project
    ) -> None:
        other = planned(staged)["w.other_history"]
        assert (other.status, other.reason) == ("interrupted", "command_failed")
        # Before 0.210 a plan creates all tables first, and that is what fails.
        step = "an earlier backfill of the plan failed"
        assert other.failed_step in (step, "the plan failed while creating tables")
        assert other.message == f"interrupted: {other.failed_step}"


class TestCreation:
    def test_a_view_that_cannot_be_created(self, project: Project) -> None:
        """SQLMesh: a new model that is not due yet gets no table, and its view can't be made."""
        project.model("w.a", "SELECT 1 AS id")
        project.model("w.later", "SELECT 1 AS id", start="'2024-02-01'")
        with at("2024-01-03 12:00"), sqlmesh_run_tracker(project.context) as tracker:
            try:
                project.context.plan(auto_apply=True, no_prompts=True)
            except Exception:
                later = tracker.last["w.later"]
            else:
                pytest.skip("before 0.210 the plan creates all tables first, and nothing fails")
        assert later.reason == "creation_failed"
        assert later.failed_step == "its view wh.w.later could not be created"
        assert later.message.startswith(
            f"failed: its view wh.w.later could not be created: {MISSING_TABLE}: "
        )
        assert "w__later__" in later.message

    def test_the_statements_of_a_view(self, project: Project) -> None:
        broken = "ON_VIRTUAL_UPDATE_BEGIN;\nDROP TABLE no_such_table;\nON_VIRTUAL_UPDATE_END;"
        project.model("w.a", f"SELECT 1 AS id;\n\n{broken}")
        with at("2024-01-03 12:00"), sqlmesh_run_tracker(project.context) as tracker:
            with pytest.raises(Exception, match="Execution failed"):
                project.context.plan(auto_apply=True, no_prompts=True)
        assert tracker.last["w.a"].message.startswith(
            f"failed: the ON_VIRTUAL_UPDATE statements of its view wh.w.a failed: {MISSING_TABLE}"
        )

    def test_a_table_that_cannot_be_created(self, project: Project) -> None:
        project.incremental(
            "w.a", "SELECT @start_dt AS ts", columns="(ts TIMESTAMP, odd NO_SUCH_TYPE)"
        )
        report = planned(project)
        report.assert_failed("w.a", reason="creation_failed")
        message = report["w.a"].message
        assert message.startswith("failed: its table wh.sqlmesh__w.w__a__")
        assert f" could not be created: {ENGINE.errors.missing_type}: " in message


class TestEscapeCodes:
    @pytest.mark.parametrize("suffix", ["json", "md", "html", "xml"])
    def test_escape_codes_are_in_no_format_of_a_report(
        self, project: Project, suffix: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        colored = "\\x1b[4mcentral bank\\x1b[0m"
        project.write("models/rates.py", RATES.replace("central bank", colored))
        report = planned(project)
        error = "RuntimeError: central bank answered 503, try again after 06:00"
        assert (report["w.rates"].error or "").startswith(f"{error}\n")
        assert error in table(report, width=200)
        file = tmp_path_factory.mktemp("reports") / f"report.{suffix}"
        write(file, [Entry(None, report)], source="import")
        text = file.read_text() + table(report) + report.explain("w.rates")
        assert "central bank" in text
        assert not re.search("\x1b|u001b|\ufffd", text)

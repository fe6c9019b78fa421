"""Models that fail because a test says so; what follows is SQLMesh's own doing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError, SandboxWarning, Status, UnknownModelError

from .conftest import Sandboxes

# The default gateway has one worker; the other has four.
pytestmark = pytest.mark.parametrize("gateway", [None, "four"], ids=["one", "four"])


def test_a_model_fails_and_what_reads_it_is_skipped(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.slips")
        report = project.run(at="2024-01-06 00:05")

        report.assert_failed("pay.slips", reason="error", match="InjectedError: failed by the test")
        report.assert_skipped("pay.total", "pay.now", reason="upstream_failed")
        report.assert_executed("pay.hours", "pay.clocked")
        assert report.completion == "failure"
        assert report["pay.now"].blocked_by == ("pay.slips",)
        # Nothing of it was evaluated.
        assert project.fetch("SELECT count(*), max(ts)::date::text FROM pay.slips") == [
            (4, "2024-01-04")
        ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("the disk is full", "InjectedError: the disk is full"),
        (OSError("the disk is full"), "OSError: the disk is full"),
        (ZeroDivisionError, "ZeroDivisionError"),
    ],
)
def test_it_fails_with_what_the_test_gives(
    sandbox: Sandboxes, payroll: Path, gateway: str | None, error: Any, message: str
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.total", error=error)
        report = project.run(at="2024-01-06 00:05")
        assert message in (report["pay.total"].error or "")


def test_the_second_batch_fails_and_the_retry_heals_it(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.hours", batch=1, times=1)

        report = project.run(at="2024-01-08 00:05")
        hours = report["pay.hours"]
        assert (hours.status, hours.partial) == (Status.FAILED, True)
        statuses = {batch.index: batch.status for batch in hours.batches}
        assert statuses[0] == "executed"
        assert statuses[1] == "failed"
        report.assert_skipped("pay.slips", reason="upstream_failed")

        report = project.run(at="+5 minutes")
        report.assert_executed("pay.hours", "pay.slips", "pay.total")
        assert project.fetch("SELECT count(*), sum(amount) FROM pay.slips") == [(7, 56)]


def test_a_glob_lets_each_match_fail(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.*ed", times=1)
        assert project.run(at="2024-01-07 00:05").failed == {"pay.clocked", "pay.noted"}
        assert not project.run(at="+1 minute").failed


def test_several_faults_at_once(sandbox: Sandboxes, payroll: Path, gateway: str | None) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.hours", error="one")
        project.fail("pay.clocked", error="other", times=1)
        report = project.run(at="2024-01-06 00:05")
        report.assert_failed("pay.hours", match="one")
        report.assert_failed("pay.clocked", match="other")
        report = project.run(at="+1 minute")
        assert report.failed == {"pay.hours"}
        report.assert_executed("pay.clocked")


def test_a_blocking_audit_fails_after_the_data_was_written(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.slips", audit="is_positive", times=1)
        report = project.run(at="2024-01-06 00:05")

        report.assert_failed("pay.slips", reason="audit_failed")
        report.assert_audit_failed("pay.slips", "is_positive")
        (batch,) = report["pay.slips"].batches
        assert (batch.audits_passed, batch.audits_failed) == (1, 1)
        report.assert_skipped("pay.total", reason="upstream_failed")
        assert project.fetch("SELECT count(*) FROM pay.slips") == [(5,)]

        project.run(at="+1 minute").assert_executed("pay.slips", "pay.total")


def test_an_audit_that_does_not_block_fails_alone(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("pay.slips", audit="IS_SMALL")
        report = project.run(at="2024-01-06 00:05")

        report.assert_executed("pay.slips", "pay.total")
        report.assert_audit_failed("pay.slips", "is_small")
        assert report.completion == "success"


def test_audits_of_external_models_and_standalone_ones_fail_too(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        project.fail("raw.clock", audit="is_positive")
        project.fail("pay_slips_exist")
        report = project.run(at="2024-01-06 00:05")

        report.assert_failed("raw.clock", reason="audit_failed")
        report.assert_audit_failed("raw.clock", "is_positive")
        report.assert_audit_failed("pay_slips_exist")
        report.assert_skipped("pay.clocked", reason="upstream_failed")


def test_a_plan_fails_as_a_run_does(sandbox: Sandboxes, payroll: Path, gateway: str | None) -> None:
    with sandbox(payroll, gateway=gateway, plan=False) as project:
        project.fail("pay.hours", batch=2)
        report = project.plan()

        report.assert_failed("pay.hours")
        assert report.command == "plan"
        assert report.completion == "failure"
        assert not project.fetch("SELECT * FROM duckdb_views() WHERE schema_name = 'pay'")


def test_an_audit_round_of_a_plan_is_struck(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    """Changed audits are run by themselves, with no evaluation before them on their thread."""
    with sandbox(payroll, gateway=gateway) as project:
        slips = (project.path / "models/pay.slips.sql").read_text()
        project.write(
            "models/pay.slips.sql", slips.replace("is_small", "is_small, not_null(columns := ts)")
        )
        project.fail("pay.slips", audit="not_null")
        report = project.plan()
        report.assert_audit_failed("pay.slips", "not_null")
        report.assert_failed("pay.slips", reason="audit_failed")


class TestAFaultThatNeverStruck:
    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (
                {"model": "pay.noted"},
                "the fault on pay.noted was never triggered: it was not evaluated after "
                "fail() was called",
            ),
            (
                {"model": "pay.hours", "batch": 7},
                "the fault on batch 7 of pay.hours was never triggered: batches count from 0, and "
                "no invocation had more than 1",
            ),
            (
                {"model": "raw.clock", "audit": "is_positive", "batch": 3},
                "the fault on batch 3 of audit is_positive of raw.clock was never triggered: "
                "batches",
            ),
        ],
    )
    def test_is_a_warning_in_the_end(
        self,
        sandbox: Sandboxes,
        payroll: Path,
        gateway: str | None,
        fault: dict[str, Any],
        message: str,
    ) -> None:
        def in_a_sandbox() -> None:
            with sandbox(payroll, gateway=gateway) as project:
                project.fail(**fault)
                project.run(at="2024-01-06 00:05")

        with pytest.warns(SandboxWarning) as warned:
            in_a_sandbox()
        (warning,) = warned
        assert str(warning.message).startswith(message)

    def test_says_so_of_an_audit(
        self, sandbox: Sandboxes, payroll: Path, gateway: str | None
    ) -> None:
        def in_a_sandbox() -> None:
            with sandbox(payroll, gateway=gateway) as project:
                project.fail("pay.slips", audit="is_small")

        with pytest.warns(SandboxWarning, match=r"audit is_small of pay.slips.* not audited"):
            in_a_sandbox()

    def test_is_none_if_one_of_its_models_failed(
        self, sandbox: Sandboxes, payroll: Path, gateway: str | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with sandbox(payroll, gateway=gateway) as project:
                project.fail("pay.*")
                project.run(at="2024-01-06 00:05")


# Arguments of `fail`, and the error that they raise.
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"model": "pay.slip"},
        UnknownModelError,
        "no model 'pay.slip' in the project; did you mean pay.slips",
    ),
    ({"model": "zzz.*"}, UnknownModelError, "no model matches 'zzz.*' in the project"),
    (
        {"model": "pay.slips", "audit": "is_smal"},
        UnknownModelError,
        "pay.slips has no audit 'is_smal': did you mean is_small?",
    ),
    (
        {"model": "pay.total", "audit": "x"},
        UnknownModelError,
        "pay.total has no audit 'x': it has none",
    ),
    (
        {"model": "raw.clock"},
        SandboxError,
        "SQLMesh never evaluates raw.clock, which is external; use audit=",
    ),
    (
        {"model": "pay.pieces"},
        SandboxError,
        "SQLMesh never evaluates pay.pieces, which is embedded",
    ),
    (
        {"model": "pay.slips", "audit": "is_small", "error": "x"},
        SandboxError,
        "fail() takes an error or an audit, not both",
    ),
    (
        {"model": "pay.slips", "batch": -1},
        SandboxError,
        "batch must be an integer >= 0, not -1",
    ),
    ({"model": "pay.slips", "times": 0}, SandboxError, "times must be an integer >= 1, not 0"),
    ({"model": "pay.slips", "batch": "1"}, SandboxError, "batch must be an integer >= 0, not '1'"),
    (
        {"model": "pay.slips", "error": str},
        SandboxError,
        "error must be a message or an Exception, not <class 'str'>",
    ),
    (
        {"model": "pay.slips", "error": KeyboardInterrupt},
        SandboxError,
        "error must be a message or an Exception, not <class 'KeyboardInterrupt'>",
    ),
]


def test_wrong_faults_are_rejected_in_one_line(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandbox(payroll, gateway=gateway) as project:
        for fault, error, message in WRONG:
            with pytest.raises(error) as raised:
                project.fail(**fault)
            assert message in str(raised.value)
            assert "\n" not in str(raised.value)


def test_a_failed_batch_is_not_that_of_the_next_audit(
    sandbox: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    """Audits that are run by themselves are of no batch."""

    def in_a_sandbox() -> None:
        with sandbox(payroll, gateway=gateway) as project:
            project.fail("pay.hours", batch=0)
            project.run(at="2024-01-06 00:05").assert_failed("pay.hours")
            project.fail("pay.slips", audit="is_small", batch=0)
            project.context.audit(start="2024-01-01", end="2024-01-05", models=iter(["pay.slips"]))
            assert not any(audit.rows_failed for audit in project.tracker.last["pay.slips"].audits)

    with pytest.warns(
        SandboxWarning, match=r"batch 0 of audit is_small.*did not belong to a batch"
    ):
        in_a_sandbox()

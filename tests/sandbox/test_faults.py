"""Models that fail because a test requests it; SQLMesh itself handles the consequences."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError, SandboxWarning, Status, UnknownModelError

from .building import Sandboxes

one_and_four_workers = pytest.mark.parametrize(
    "gateway", [None, "four"], ids=["one_worker", "four_workers"]
)
"""For tests of faults that SQLMesh's threads can strike in another way."""


@one_and_four_workers
def test_a_model_fails_and_its_readers_are_skipped(
    sandboxes: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandboxes(payroll, gateway=gateway) as sandbox:
        sandbox.fail("pay.slips")
        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_failed("pay.slips", reason="error", match="InjectedError: failed by the test")
        report.assert_skipped("pay.total", "pay.now", reason="upstream_failed")
        report.assert_executed("pay.hours", "pay.clocked")
        assert report.completion == "failure"
        assert report["pay.now"].blocked_by == ("pay.slips",)
        # Nothing of pay.slips was evaluated.
        assert sandbox.fetch("SELECT count(*), max(ts)::date::text FROM pay.slips") == [
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
def test_a_model_fails_with_the_error_that_the_test_chooses(
    sandboxes: Sandboxes, payroll: Path, error: Any, message: str
) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.fail("pay.total", error=error)
        report = sandbox.run(at="2024-01-06 00:05")
        assert message in (report["pay.total"].error or "")


@one_and_four_workers
def test_the_second_batch_fails_and_a_later_run_loads_it(
    sandboxes: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandboxes(payroll, gateway=gateway) as sandbox:
        sandbox.fail("pay.hours", batch=1, times=1)

        report = sandbox.run(at="2024-01-08 00:05")
        hours = report["pay.hours"]
        assert (hours.status, hours.partial) == (Status.FAILED, True)
        statuses = {batch.index: batch.status for batch in hours.batches}
        assert statuses[0] == "executed"
        assert statuses[1] == "failed"
        report.assert_skipped("pay.slips", reason="upstream_failed")

        report = sandbox.run(at="+5 minutes")
        report.assert_executed("pay.hours", "pay.slips", "pay.total")
        assert sandbox.fetch("SELECT count(*), sum(amount) FROM pay.slips") == [(7, 56)]


def test_each_match_of_a_glob_fails(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        # The glob matches pay.clocked and pay.noted.
        sandbox.fail("pay.*ed", times=1)
        assert sandbox.run(at="2024-01-07 00:05").failed == {"pay.clocked", "pay.noted"}
        assert not sandbox.run(at="+1 minute").failed


@one_and_four_workers
def test_several_faults_at_once(sandboxes: Sandboxes, payroll: Path, gateway: str | None) -> None:
    with sandboxes(payroll, gateway=gateway) as sandbox:
        sandbox.fail("pay.hours", error="one")
        sandbox.fail("pay.clocked", error="other", times=1)
        report = sandbox.run(at="2024-01-06 00:05")
        report.assert_failed("pay.hours", match="one")
        report.assert_failed("pay.clocked", match="other")
        report = sandbox.run(at="+1 minute")
        assert report.failed == {"pay.hours"}
        report.assert_executed("pay.clocked")


@one_and_four_workers
def test_a_blocking_audit_fails_after_the_data_was_written(
    sandboxes: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    with sandboxes(payroll, gateway=gateway) as sandbox:
        sandbox.fail("pay.slips", audit="is_positive", times=1)
        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_failed("pay.slips", reason="audit_failed")
        report.assert_audit_failed("pay.slips", "is_positive")
        (batch,) = report["pay.slips"].batches
        assert (batch.audits_passed, batch.audits_failed) == (1, 1)
        report.assert_skipped("pay.total", reason="upstream_failed")
        assert sandbox.fetch("SELECT count(*) FROM pay.slips") == [(5,)]

        sandbox.run(at="+1 minute").assert_executed("pay.slips", "pay.total")


def test_a_non_blocking_audit_fails_alone(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.fail("pay.slips", audit="IS_SMALL")
        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_executed("pay.slips", "pay.total")
        report.assert_audit_failed("pay.slips", "is_small")
        assert report.completion == "success"


def test_audits_of_external_models_and_standalone_audits_fail(
    sandboxes: Sandboxes, payroll: Path
) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.fail("raw.clock", audit="is_positive")
        sandbox.fail("pay_slips_exist")
        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_failed("raw.clock", reason="audit_failed")
        report.assert_audit_failed("raw.clock", "is_positive")
        report.assert_audit_failed("pay_slips_exist")
        report.assert_skipped("pay.clocked", reason="upstream_failed")


@one_and_four_workers
def test_faults_apply_to_plans(sandboxes: Sandboxes, payroll: Path, gateway: str | None) -> None:
    with sandboxes(payroll, gateway=gateway, plan=False) as sandbox:
        sandbox.fail("pay.hours", batch=2)
        report = sandbox.plan()

        report.assert_failed("pay.hours")
        assert report.command == "plan"
        assert report.completion == "failure"
        assert not sandbox.fetch("SELECT * FROM duckdb_views() WHERE schema_name = 'pay'")


@one_and_four_workers
def test_an_audit_in_an_audit_only_plan_fails(
    sandboxes: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    """Changed audits are run by themselves, with no evaluation before them on their thread."""
    with sandboxes(payroll, gateway=gateway) as sandbox:
        slips = (sandbox.path / "models/pay.slips.sql").read_text()
        sandbox.write(
            "models/pay.slips.sql", slips.replace("is_small", "is_small, not_null(columns := ts)")
        )
        sandbox.fail("pay.slips", audit="not_null")
        report = sandbox.plan()
        report.assert_audit_failed("pay.slips", "not_null")
        report.assert_failed("pay.slips", reason="audit_failed")


class TestAFaultThatWasNeverTriggered:
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
    def test_is_a_warning_when_the_sandbox_is_closed(
        self,
        sandboxes: Sandboxes,
        payroll: Path,
        fault: dict[str, Any],
        message: str,
    ) -> None:
        def in_a_sandbox() -> None:
            with sandboxes(payroll) as sandbox:
                sandbox.fail(**fault)
                sandbox.run(at="2024-01-06 00:05")

        with pytest.warns(SandboxWarning) as warned:
            in_a_sandbox()
        (warning,) = warned
        assert str(warning.message).startswith(message)

    def test_names_the_audit(self, sandboxes: Sandboxes, payroll: Path) -> None:
        def in_a_sandbox() -> None:
            with sandboxes(payroll) as sandbox:
                sandbox.fail("pay.slips", audit="is_small")

        with pytest.warns(SandboxWarning, match=r"audit is_small of pay.slips.* not audited"):
            in_a_sandbox()

    @one_and_four_workers
    def test_does_not_include_a_glob_with_one_failed_model(
        self, sandboxes: Sandboxes, payroll: Path, gateway: str | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with sandboxes(payroll, gateway=gateway) as sandbox:
                sandbox.fail("pay.*")
                sandbox.run(at="2024-01-06 00:05")


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


def test_invalid_faults_are_rejected_in_one_line(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        for fault, error, message in WRONG:
            with pytest.raises(error) as raised:
                sandbox.fail(**fault)
            assert message in str(raised.value)
            assert "\n" not in str(raised.value)


@one_and_four_workers
def test_an_audit_that_runs_alone_belongs_to_no_batch(
    sandboxes: Sandboxes, payroll: Path, gateway: str | None
) -> None:
    """Not even to a batch that failed before on the same thread."""

    def in_a_sandbox() -> None:
        with sandboxes(payroll, gateway=gateway) as sandbox:
            sandbox.fail("pay.hours", batch=0)
            sandbox.run(at="2024-01-06 00:05").assert_failed("pay.hours")
            sandbox.fail("pay.slips", audit="is_small", batch=0)
            sandbox.context.audit(start="2024-01-01", end="2024-01-05", models=iter(["pay.slips"]))
            assert not any(audit.rows_failed for audit in sandbox.tracker.last["pay.slips"].audits)

    with pytest.warns(
        SandboxWarning, match=r"batch 0 of audit is_small.*did not belong to a batch"
    ):
        in_a_sandbox()


class TestAfterTheWrite:
    """Models that fail after their rows were written, as if the connection were lost then."""

    def test_the_rows_are_there_and_the_interval_is_not_recorded(
        self, payroll: Path, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.fail("pay.hours", after_write=True, times=1, error="lost")
            report = sandbox.run(at="2024-01-06 00:05")
            report.assert_failed("pay.hours", match="lost")
            report.assert_skipped("pay.slips", reason="upstream_failed")
            hours = "SELECT COUNT(*) FROM pay.hours"
            assert sandbox.fetch(hours) == [(5,)]
            report = sandbox.run()
            report.assert_executed("pay.hours", intervals=("2024-01-05", "2024-01-06"))
            assert sandbox.fetch(hours) == [(5,)]

    def test_only_one_batch_fails(self, payroll: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.fail("pay.hours", after_write=True, batch=1)
            outcome = sandbox.run(at="2024-01-07 00:05")["pay.hours"]
            assert outcome.partial
            assert [batch.status for batch in outcome.batches] == ["executed", "failed"]
            assert sandbox.fetch("SELECT COUNT(*) FROM pay.hours") == [(6,)]

    def test_a_view_is_created(self, payroll: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.fail("pay.now", after_write=True)
            sandbox.run(at="2024-01-06 00:05").assert_failed("pay.now")
            assert sandbox.fetch("SELECT amount FROM pay.now") == [(40,)]

    @pytest.mark.parametrize(
        ("model", "audit"), [("pay.slips", "is_positive"), ("pay_slips_exist", None)]
    )
    def test_an_audit_always_fails_after_it(
        self, payroll: Path, sandboxes: Sandboxes, model: str, audit: str | None
    ) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(SandboxError, match="after_write can't be combined with an audit"):
                sandbox.fail(model, audit=audit, after_write=True)

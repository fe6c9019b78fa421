"""Models that are not ready because a test holds them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import SandboxError, UnknownModelError

from .building import Sandboxes


def test_a_held_model_waits_as_for_a_signal(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.hold("pay.slips")
        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_skipped("pay.slips", reason="signal_not_ready")
        (interval,) = report["pay.slips"].signals["held_by_test"]
        assert interval.start == datetime(2024, 1, 5, tzinfo=timezone.utc)
        assert interval.end == datetime(2024, 1, 6, tzinfo=timezone.utc)
        report.assert_skipped("pay.total", reason="upstream_not_ready")
        assert report["pay.total"].blocked_by == ("pay.slips",)
        report.assert_executed("pay.hours", "pay.clocked")
        assert report.completion == "success"


def test_a_released_model_is_loaded(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.hold("pay.*")
        sandbox.run(at="2024-01-06 00:05").assert_nothing_executed()

        sandbox.release("pay.hours")
        sandbox.run(at="+1 day").assert_only_executed("pay.hours")

        sandbox.release("pay.*")
        report = sandbox.run(at="+1 minute")
        report.assert_executed("pay.slips", intervals=("2024-01-05", "2024-01-07"))
        report.assert_executed("pay.total")


def test_a_model_with_its_own_signal_is_held_as_well(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.write(
            "signals/never.py",
            "from sqlmesh import signal\n\n\n@signal()\ndef delivered(batch):\n    return True\n",
        )
        sandbox.write(
            "models/pay.paid.sql",
            "MODEL (name pay.paid, kind FULL, signals [delivered()]); SELECT 1 AS one",
        )
        sandbox.hold("pay.paid")
        report = sandbox.plan()
        assert set(report["pay.paid"].signals) == {"held_by_test"}
        report.assert_skipped("pay.paid", reason="signal_not_ready")

        sandbox.release("pay.paid")
        sandbox.run(at="+1 day").assert_executed("pay.paid")


def test_models_that_cannot_be_held_are_reported(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        with pytest.raises(
            SandboxError, match=r"SQLMesh never evaluates raw.clock, which is external"
        ):
            sandbox.hold("raw.clock")
        with pytest.raises(
            SandboxError, match=r"SQLMesh never evaluates .*, which is a standalone audit"
        ):
            sandbox.hold("pay_slips_exist")
        with pytest.raises(UnknownModelError, match=r"did you mean pay.slips"):
            sandbox.release("pay.slipz")

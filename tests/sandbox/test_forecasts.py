"""A sandbox says beforehand which models its next runs will evaluate."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Forecast, Sandbox, SandboxError, UnknownModelError
from tests.projects import Project, read_between, rows_every
from tests.sandbox.building import Sandboxes

THREE_DAYS = ["2024-01-06", "2024-01-07", "2024-01-08"]


@pytest.fixture(scope="session")
def weekdays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hourly model, one on weekday mornings that reads it, and one with an irregular cron."""
    project = Project(tmp_path_factory.mktemp("weekdays"))
    project.incremental("day.clicks", rows_every("1 hour"), cron="'@hourly'")
    project.incremental("day.desk", read_between("day.clicks"), cron="'0 9 * * 1-5'")
    project.incremental("day.office", read_between("day.clicks"), cron="'0 8-18 * * *'")
    return project.path


@pytest.mark.long
def test_the_runs_do_what_was_forecast(payroll: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(payroll) as sandbox:
        forecast = sandbox.forecast("+4 days", every="12h")
        reports = sandbox.run_until("+4 days", every="12h")
        evaluated = {
            report.execution_time.replace(second=0, microsecond=0): set(report.executed)
            for report in reports
            if report.executed
        }
        assert {run.at: set(run.executed) for run in forecast.runs} == evaluated
        assert len(evaluated) == 4


def test_nothing_is_run_and_nothing_is_written(payroll: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(payroll) as sandbox:
        before = _intervals(sandbox)
        first = sandbox.forecast("+4 days", every="1 day")
        assert sandbox.forecast("+4 days", every="1 day").runs == first.runs
        assert _intervals(sandbox) == before
        assert not sandbox.tracker.reports


def _intervals(sandbox: Sandbox) -> list[tuple[str, str]]:
    state = sandbox.context.state_sync
    environment = state.get_environment("prod")
    assert environment is not None
    snapshots = state.get_snapshots(environment.snapshots).values()
    return sorted((snapshot.name, str(snapshot.intervals)) for snapshot in snapshots)


def test_a_cron_is_tested_without_running_a_week(weekdays: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(weekdays) as sandbox:  # on a Friday
        forecast = sandbox.forecast("2024-01-12")
        mornings = ("2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11")
        forecast.assert_ticks("day.desk", [f"{day} 09:00" for day in mornings])
        assert len(forecast.ticks("day.clicks")) == 7 * 24
        # Saturday and Sunday are loaded on Monday.
        monday = next(run for run in forecast.runs if run.at == at("2024-01-08 09:00"))
        assert monday.executed["day.desk"] == ((at("2024-01-05"), at("2024-01-08")),)


def test_the_times_at_which_a_model_is_evaluated_differ(
    weekdays: Path, sandboxes: Sandboxes
) -> None:
    with sandboxes(weekdays) as sandbox:
        forecast = sandbox.forecast("2024-01-09")
        with pytest.raises(AssertionError) as raised:
            forecast.assert_ticks("day.desk", ["2024-01-05 09:00", "2024-01-06 09:00"])
    assert str(raised.value).splitlines() == [
        "day.desk is not evaluated at the expected times:",
        "",
        "  not evaluated at  2024-01-06 09:00 UTC",
        "  evaluated at      2024-01-08 09:00 UTC",
        "",
        "forecast of prod: 2 evaluations until 2024-01-09 00:00 UTC",
    ]


def test_an_irregular_cron_is_undetermined(weekdays: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(weekdays) as sandbox:
        forecast = sandbox.forecast("+1 day")
        assert forecast.undetermined == {
            "day.office": "SQLMesh takes the cron 0 8-18 * * * to be due at different times in "
            "different processes (0 * * * * has equal gaps and includes its times)"
        }
        assert all("day.office" not in run.executed for run in forecast.runs)
        with pytest.raises(ValueError, match=r"when day\.office is evaluated is undetermined"):
            forecast.ticks("day.office")


@pytest.mark.parametrize("assumed_only", [True, False])
def test_a_failure_skips_what_is_downstream(
    payroll: Path, sandboxes: Sandboxes, assumed_only: bool
) -> None:
    with sandboxes(payroll) as sandbox:
        if assumed_only:
            forecast = sandbox.forecast("2024-01-08 00:05", every="1 day", failing="pay.slips")
        else:
            sandbox.fail("pay.slips")
            forecast = sandbox.forecast("2024-01-08 00:05", every="1 day")
    assert [run.failed for run in forecast.runs] == [("pay.slips",)] * 3
    assert not forecast.ticks("pay.slips")
    assert not forecast.ticks("pay.total")
    assert _days(forecast, "pay.hours") == THREE_DAYS
    assert "pay.slips fails in each run." in forecast.assumptions


@pytest.mark.parametrize("assumed_only", [True, False])
def test_a_model_that_is_held_back_holds_back_its_readers(
    payroll: Path, sandboxes: Sandboxes, assumed_only: bool
) -> None:
    with sandboxes(payroll) as sandbox:
        if assumed_only:
            forecast = sandbox.forecast("+3 days", every="1 day", held=["pay.hours"])
        else:
            sandbox.hold("pay.hours")
            forecast = sandbox.forecast("+3 days", every="1 day")
    assert not any(run.failed for run in forecast.runs)
    assert not forecast.ticks("pay.slips")
    assert _days(forecast, "pay.clocked") == THREE_DAYS
    assert "pay.hours is held back in each run." in forecast.assumptions


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"times": 1}, "the test makes its evaluation fail 1 time"),
        ({"batch": 2}, "the test makes its batch 2 fail"),
        ({"audit": "is_positive"}, "the test makes its audit is_positive fail"),
    ],
)
def test_a_fault_that_strikes_only_sometimes_is_undetermined(
    payroll: Path, sandboxes: Sandboxes, fault: dict[str, object], why: str
) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.fail("pay.slips", **fault)  # type: ignore[arg-type]
        forecast = sandbox.forecast("+3 days", every="1 day")
    assert forecast.undetermined["pay.slips"] == why
    reader = "it depends on pay.slips, which is undetermined"
    assert forecast.undetermined["pay.total"] == reader
    assert _days(forecast, "pay.hours") == THREE_DAYS


def test_a_fault_that_has_struck_often_enough_counts_no_more(
    payroll: Path, sandboxes: Sandboxes
) -> None:
    with sandboxes(payroll) as sandbox:
        sandbox.fail("pay.slips", times=1)
        sandbox.run(at="2024-01-06 00:05").assert_failed("pay.slips")
        forecast = sandbox.forecast("+1 day", every="1 day")
    assert not forecast.undetermined
    assert _days(forecast, "pay.slips") == ["2024-01-07"]


@pytest.mark.parametrize(
    ("until", "every", "message"),
    [
        ("2024-01-05", None, r"must end after the time that was last set, 2024-01-05 00:05:00 UTC"),
        ("+1h", "1 day", r"forecast\('\+1h', every='1 day'\) makes no run"),
        ("+1 day", "daily", "every must be a duration"),
    ],
)
def test_what_can_not_be_forecast(
    payroll: Path, sandboxes: Sandboxes, until: str, every: str | None, message: str
) -> None:
    with sandboxes(payroll) as sandbox, pytest.raises(SandboxError, match=message):
        sandbox.forecast(until, every=every)


def test_an_environment_that_is_not_planned(payroll: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(payroll) as sandbox, pytest.raises(SandboxError, match="has not been planned"):
        sandbox.forecast("+1 day", environment="dev")


def test_a_typo(payroll: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(payroll) as sandbox:
        with pytest.raises(UnknownModelError, match=r"did you mean pay\.slips"):
            sandbox.forecast("+1 day", failing="pay.slip")
        with pytest.raises(UnknownModelError, match=r"did you mean pay\.slips"):
            sandbox.forecast("+1 day").ticks("pay.slip")


def test_a_start_that_moved_past_the_last_tick_fails_as_forecast(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    project = Project(tmp_path)
    weekly = {"cron": "'@weekly'", "start": "'3 days ago'"}
    project.incremental("late.weeks", rows_every("1 day"), **weekly)
    project.model("late.total", "SELECT COUNT(*) AS n FROM late.weeks", cron="'@daily'")
    with sandboxes(project.path, at="2024-01-08 09:00") as sandbox:
        # No run took place in the week before.
        [run] = sandbox.forecast("2024-01-19 09:00", every="11 days").runs
        report = sandbox.run(at="2024-01-19 09:00")
        report.assert_failed("late.weeks")
        report.assert_skipped("late.total", reason="upstream_failed")
        assert run.failed == ("late.weeks",)
        assert not run.executed


def at(time: str) -> datetime:
    return datetime.fromisoformat(time).replace(tzinfo=timezone.utc)


def _days(forecast: Forecast, model: str) -> list[str]:
    return [f"{time:%Y-%m-%d}" for time in forecast.ticks(model)]

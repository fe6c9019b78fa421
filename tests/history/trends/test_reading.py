"""How the models of a history fared: of handmade nights, and of drawn ones against all reports."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from pytest_sqlmesh_tracker import ModelOutcome, RunReport
from pytest_sqlmesh_tracker.history import pending
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.reading import all_entries
from pytest_sqlmesh_tracker.history.trends.reading import read_timelines, read_trends
from pytest_sqlmesh_tracker.history.trends.types import ModelTrend, Trends
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.wording.sentences import is_waiting
from tests.builders import NOW, audit, audited, executed, failed, interval, outcome, run, skipped
from tests.projects import Project, at

DAY = timedelta(days=1)
LATE = NOW - timedelta(hours=6)


def night(number: int, *outcomes: ModelOutcome, **facts: Any) -> RunReport:
    at = NOW + number * DAY
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at, **facts)
    return report.model_copy(update={"id": uuid4()})


def waiting(name: str, *reasons: str) -> ModelOutcome:
    return skipped(name, *reasons, waiting_since=LATE)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "runs.duckdb"


def written(history: Path, *reports: RunReport | Entry) -> Path:
    entries = [each if isinstance(each, Entry) else Entry(None, each) for each in reports]
    append(history, entries, source="cli")
    return history


def of(trends: Trends, model: str, environment: str = "prod") -> ModelTrend:
    [trend] = [each for each in trends.matching(model) if each.environment == environment]
    return trend


class TestAModel:
    def test_that_is_executed_each_night(self, history: Path) -> None:
        last = executed("a.x", causes=("reloaded",), loaded_through=NOW, audits=(audit("a"),))
        written(history, night(0, executed("a.x")), night(1, executed("a.x")), night(2, last))
        trends = read_trends(history)
        trend = of(trends, "a.x")
        assert trend.last == last
        assert (trend.last_executed, trend.last_cause) == (NOW + 2 * DAY, "reloaded")
        assert (trend.invocations, trend.executed, trend.failed) == (3, 3, 0)
        assert (trend.failing_since, trend.failures, trend.waits) == (None, 0, 0)
        [environment] = trends.environments
        assert (environment.invocations, environment.first) == (3, NOW)
        assert (environment.last, trend.last_seen) == (NOW + 2 * DAY, NOW + 2 * DAY)

    def test_that_fails_since_its_last_execution(self, history: Path) -> None:
        """An earlier failure is counted, and a night in which it was not due changes nothing."""
        written(
            history,
            night(0, failed("a.x")),
            night(1, executed("a.x")),
            night(2, failed("a.x")),
            night(3, waiting("a.x", "cron_not_due")),
            night(4, failed("a.x")),
        )
        trend = of(read_trends(history), "a.x")
        assert (trend.failing_since, trend.failures) == (NOW + 2 * DAY, 2)
        assert (trend.executed, trend.failed) == (1, 3)
        assert trend.last_executed == NOW + DAY

    @pytest.mark.parametrize(
        "recovered",
        [
            audited("a.x", audit("a"), kind="external"),
            skipped("a.x", "up_to_date"),
            skipped("a.x", "cron_not_due"),
            skipped("a.x", "not_evaluatable", kind="embedded"),
        ],
        ids=str,
    )
    def test_that_does_not_fail_any_more_though_it_was_not_executed(
        self, history: Path, recovered: ModelOutcome
    ) -> None:
        """Its audits pass again, or another environment has loaded it."""
        written(history, night(0, failed("a.x")), night(1, recovered), night(2, skipped("a.x")))
        trend = of(read_trends(history), "a.x")
        assert (trend.failing_since, trend.failures, trend.failed) == (None, 0, 1)

    def test_that_fails_though_its_old_rows_pass_audits(self, history: Path) -> None:
        passed = audited("a.x", audit("a"))
        written(history, night(0, failed("a.x")), night(1, passed), night(2, failed("a.x")))
        trend = of(read_trends(history), "a.x")
        assert (trend.failing_since, trend.failures) == (NOW, 2)

    def test_that_was_executed_and_failed_before_the_time_that_is_shown(
        self, history: Path
    ) -> None:
        nights = [executed("a.x"), failed("a.x"), failed("a.x")]
        written(history, *(night(number, each) for number, each in enumerate(nights)))
        trend = of(read_trends(history, NOW + 2 * DAY), "a.x")
        assert (trend.invocations, trend.executed, trend.failed) == (1, 0, 1)
        assert (trend.last_executed, trend.failing_since) == (NOW, NOW + DAY)
        [timeline] = read_timelines(history, [trend], NOW + 2 * DAY)
        assert len(timeline.entries) == 1

    def test_whose_last_execution_has_no_cause(self, history: Path) -> None:
        """Reports of earlier versions have none."""
        restated = executed("a.x", causes=("restated",))
        written(history, night(0, restated), night(1, executed("a.x")))
        assert of(read_trends(history), "a.x").last_cause is None

    def test_that_never_was_executed(self, history: Path) -> None:
        written(history, night(0, failed("a.x")), night(1, failed("a.x")))
        trend = of(read_trends(history), "a.x")
        assert (trend.last_executed, trend.last_cause, trend.durations) == (None, None, None)
        assert (trend.failing_since, trend.failures) == (NOW, 2)

    def test_that_waits(self, history: Path) -> None:
        """Only the last nights in a row count, and not those in which its cron alone held it."""
        written(
            history,
            night(0, waiting("a.x", "signal_not_ready")),
            night(1, waiting("a.x", "cron_not_due")),
            night(2, waiting("a.x", "signal_not_ready", "cron_not_due")),
            night(3, waiting("a.x", "cron_not_due", "signal_not_ready")),
        )
        assert of(read_trends(history), "a.x").waits == 2

    @pytest.mark.parametrize("reason", ["not_selected", "no_changes"])
    def test_that_waits_while_an_invocation_is_about_others(
        self, history: Path, reason: str
    ) -> None:
        late = waiting("a.x", "signal_not_ready")
        written(history, night(0, late), night(1, skipped("a.x", reason)), night(2, late))
        assert of(read_trends(history), "a.x").waits == 2

    def test_that_waits_for_its_cron(self, history: Path) -> None:
        written(history, night(0, waiting("a.x", "cron_not_due")))
        assert of(read_trends(history), "a.x").waits == 0

    def test_that_the_environment_no_longer_has(self, history: Path) -> None:
        written(history, night(0, executed("a.old"), executed("a.x")), night(1, executed("a.x")))
        [environment] = read_trends(history).environments
        assert [model.name for model in environment.models] == ["a.x", "a.old"]
        assert [model.name for model in environment.current] == ["a.x"]
        assert not of(read_trends(history), "a.old").is_current

    def test_that_the_last_invocation_did_not_reach(self, history: Path) -> None:
        crashed = night(1, completion="raised", error="OperationalError: no connection")
        written(history, night(0, failed("a.x")), crashed)
        [environment] = read_trends(history).environments
        assert (environment.invocations, environment.last) == (2, NOW + DAY)
        assert [model.name for model in environment.current] == ["a.x"]

    def test_takes_as_long_as_its_batches(self, history: Path) -> None:
        """A night with two days takes longer, and does not make the model slower."""
        two_days = ("2024-01-12", "2024-01-13"), ("2024-01-13", "2024-01-14")
        nights = [executed("a.x", duration=timedelta(seconds=2)) for _ in range(6)]
        nights += [executed("a.x", *two_days, duration=timedelta(seconds=4))] * 3
        written(history, *(night(number, each) for number, each in enumerate(nights)))
        durations = of(read_trends(history), "a.x").durations
        assert durations is not None
        assert (durations.last, durations.median) == (timedelta(seconds=4), timedelta(seconds=2))
        assert durations.executions == 6
        assert durations.change is None

    def test_is_slower_since_a_night(self, history: Path) -> None:
        took = [2, 2, 2, 2, 2, 2, 7, 8, 9]
        written(
            history,
            *(
                night(number, executed("a.x", duration=timedelta(seconds=seconds)))
                for number, seconds in enumerate(took)
            ),
        )
        durations = of(read_trends(history), "a.x").durations
        assert durations is not None
        assert durations.change is not None
        assert durations.change.since == NOW + 6 * DAY

    def test_with_an_error_that_is_not_unicode(self, history: Path) -> None:
        lost = failed("a.x", error="OSError: no file \udcff.csv")
        written(history, night(0, executed("a.x")), night(1, lost))
        trend = of(read_trends(history), "a.x")
        assert trend.last == lost
        [timeline] = read_timelines(history, [trend])
        assert timeline.entries[0].outcome == lost


class TestInvocations:
    def test_are_told_apart_by_environment(self, history: Path) -> None:
        written(
            history,
            night(0, executed("a.x")),
            night(2, failed("a.x"), environment="dev"),
            night(1, executed("a.x")),
        )
        trends = read_trends(history)
        assert [each.environment for each in trends.environments] == ["dev", "prod"]
        assert of(trends, "a.x").failures == 0
        assert of(trends, "a.x", "dev").failures == 1

    def test_are_ordered_by_when_they_began(self, history: Path) -> None:
        """Reports can be imported later than newer ones."""
        written(history, night(5, executed("a.x")), night(1, failed("a.x")))
        assert of(read_trends(history), "a.x").last.status == "executed"

    def test_since_a_time_are_counted_alone(self, history: Path) -> None:
        written(history, *(night(number, executed("a.x")) for number in range(4)))
        assert of(read_trends(history, NOW + 2 * DAY), "a.x").invocations == 2
        assert read_trends(history, NOW + 9 * DAY).environments == ()

    def test_of_tests_are_left_out_beside_others(self, history: Path) -> None:
        written(history, night(0, executed("a.x")), Entry("test_it", night(1, failed("a.x"))))
        trends = read_trends(history)
        assert (trends.tests_left_out, of(trends, "a.x").invocations) == (1, 1)

    def test_of_tests_are_counted_if_there_are_no_others(self, history: Path) -> None:
        written(
            history,
            Entry("test_it", night(1, failed("a.x"))),
            Entry("test_it", night(2, executed("a.x"), superseded=True)),
        )
        trends = read_trends(history)
        assert (trends.tests_left_out, of(trends, "a.x").last.status) == (0, "failed")

    def test_of_tests_stay_left_out_where_there_are_no_others(self, history: Path) -> None:
        written(history, night(0, executed("a.x")), Entry("test_it", night(2, failed("a.x"))))
        trends = read_trends(history, NOW + DAY)
        assert (trends.environments, trends.tests_left_out) == ((), 1)

    def test_that_several_tests_share_are_counted_once(self, history: Path) -> None:
        report = night(0, executed("a.x"))
        repeated = report.model_copy(update={"superseded": True})
        written(history, Entry("test_one", repeated), Entry("test_two", report))
        [environment] = read_trends(history).environments
        assert (environment.invocations, of(read_trends(history), "a.x").invocations) == (1, 1)

    def test_that_were_also_reported_without_a_test_are_not_those_of_a_test(
        self, history: Path
    ) -> None:
        report = night(0, executed("a.x"))
        written(history, Entry("test_one", report), report, Entry("test", night(1)))
        trends = read_trends(history)
        assert (of(trends, "a.x").invocations, trends.tests_left_out) == (1, 1)

    def test_in_pending_files_are_counted(self, history: Path) -> None:
        stored, waits = night(0, executed("a.x")), night(1, failed("a.x"))
        written(history, stored)
        pending.write(history, [Entry(None, stored), Entry(None, waits)], "dagster")
        trends = read_trends(history)
        assert (of(trends, "a.x").invocations, of(trends, "a.x").failures) == (2, 1)
        [timeline] = read_timelines(history, trends.matching("a.x"))
        assert [entry.source for entry in timeline.entries] == ["dagster", "cli"]

    def test_of_no_history_are_an_error(self, history: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_trends(history)


def test_a_timeline_has_each_invocation_the_last_one_first(history: Path) -> None:
    nights = [
        executed("a.x", audits=(audit("unique", rows_failed=2, blocking=False),)),
        skipped("a.x"),
        failed("a.x"),
    ]
    written(history, *(night(number, each) for number, each in enumerate(nights)))
    written(history, night(0, executed("a.x"), environment="dev"))
    [timeline] = read_timelines(history, [of(read_trends(history), "a.x")])
    assert [entry.outcome for entry in timeline.entries] == nights[::-1]
    assert [entry.started_at for entry in timeline.entries] == [
        NOW + number * DAY for number in (2, 1, 0)
    ]
    assert {entry.command for entry in timeline.entries} == {"run"}


STATUSES = ("executed", "failed", "skipped", "audited", "interrupted", "unknown")
REASONS = ("up_to_date", "cron_not_due", "signal_not_ready", "upstream_failed")


def drawn(rng: Random, name: str) -> ModelOutcome:
    reasons = rng.sample(REASONS, rng.randrange(4))
    return outcome(
        name,
        rng.choice(STATUSES),
        *reasons,
        waiting_since=rng.choice([None, LATE]),
        held_back=(interval("2024-01-12", "2024-01-13"),),
        duration=rng.choice([None, timedelta(seconds=2)]),
    )


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_drawn_histories_are_as_all_their_reports_say(history: Path, seed: int) -> None:
    rng = Random(seed)
    models = ["a.x", "a.y", "a.z"]
    written(
        history,
        *(
            night(
                rng.randrange(30),
                *(drawn(rng, name) for name in models if rng.random() < 0.8),
                environment=rng.choice(["prod", "dev"]),
                superseded=rng.random() < 0.1,
            )
            for _ in range(rng.randrange(60))
        ),
    )
    trends = read_trends(history)
    reports = [each.report for each in all_entries(history) if not each.report.superseded]
    # Python's sort keeps the order of those that began at the same time.
    reports.sort(key=lambda report: report.started_at)
    seen: set[tuple[str, str]] = set()
    for environment in trends.environments:
        runs = [each for each in reports if each.environment == environment.environment]
        assert environment.invocations == len(runs)
        for trend in environment.models:
            seen.add((environment.environment, trend.name))
            demand(trend, runs)
    assert seen == {(each.environment, name) for each in reports for name in each.outcomes}


def demand(trend: ModelTrend, runs: list[RunReport]) -> None:
    """The trend is what going through the reports one by one gives."""
    with_model = [each for each in runs if trend.name in each.outcomes]
    outcomes = [each.outcomes[trend.name] for each in with_model]
    assert trend.last == outcomes[-1]
    assert trend.is_current is (trend.name in [r for r in runs if r.outcomes][-1].outcomes)
    executions = failures = waits = 0
    executed_at = failing_since = None
    for report, each in zip(with_model, outcomes, strict=True):
        if each.status == "executed":
            executions, failures = executions + 1, 0
            executed_at, failing_since = report.started_at, None
        elif (
            each.status == "skipped"
            and each.reason in ("up_to_date", "cron_not_due")
            and each.waiting_since is None
        ):
            failures, failing_since = 0, None
        elif each.status == "failed":
            failures += 1
            failing_since = failing_since or report.started_at
        waits = waits + 1 if is_waiting(each) else 0
    assert (trend.executed, trend.last_executed) == (executions, executed_at)
    assert (trend.failures, trend.failing_since) == (failures, failing_since)
    assert trend.waits == waits
    assert trend.invocations == len(with_model)


@pytest.mark.long
def test_a_model_that_another_environment_has_loaded_does_not_fail(tmp_path: Path) -> None:
    """Environments share versions of models, and so what is loaded."""
    project = Project(tmp_path / "shop")
    query = "SELECT ts::DATE AS ts FROM days WHERE ts BETWEEN @start_date AND @end_date"
    project.incremental("shop.days", query, cron="'@daily'", start="'2024-01-01'")
    project.execute("CREATE TABLE days AS SELECT DATE '2024-01-05' AS ts")
    with at("2024-01-05 00:10"):
        reports = [project.plan()]
        project.plan("dev", include_unmodified=True)
    project.execute("ALTER TABLE days RENAME TO gone")
    with at("2024-01-06 00:05"):
        reports.append(project.run())
    history = written(tmp_path / "runs.duckdb", *reports)
    assert of(read_trends(history), "shop.days").failing_since is not None

    project.execute("ALTER TABLE gone RENAME TO days")
    with at("2024-01-06 00:10"):
        project.run("dev").assert_executed("shop.days")
    with at("2024-01-06 01:00"):
        written(history, project.run())
    assert of(read_trends(history), "shop.days").failing_since is None
    project.close()


class TestNames:
    """Fully qualified names of `a.x`: in prod with the catalog `wh`, in dev with `lake`."""

    @pytest.fixture
    def trends(self, history: Path) -> Trends:
        in_prod = executed("a.x", fqn='"wh"."a"."x"'), executed("a.y", fqn='"wh"."a"."y"')
        in_dev = executed("a.x", fqn='"lake"."a"."x"')
        written(history, night(0, *in_prod), night(1, in_dev, environment="dev"))
        return read_trends(history)

    @pytest.mark.parametrize(
        ("name", "environments"),
        [
            ("a.x", ["dev", "prod"]),
            ("A.X", ["dev", "prod"]),
            ("wh.a.x", ["prod"]),
            ('"lake"."a"."x"', ["dev"]),
            ("a.y", ["prod"]),
            ("a.*", ["dev", "prod", "prod"]),
            ("lake.*", ["dev"]),
        ],
    )
    def test_match_in_each_environment(
        self, trends: Trends, name: str, environments: list[str]
    ) -> None:
        assert [trend.environment for trend in trends.matching(name)] == environments

    @pytest.mark.parametrize("name", ["a.z", "b.*"])
    def test_that_no_model_has_are_rejected(self, trends: Trends, name: str) -> None:
        with pytest.raises(UnknownModelError, match=r"in the history.*a\.x"):
            trends.matching(name)

    def test_that_two_models_of_an_environment_have_are_ambiguous(self, history: Path) -> None:
        both = executed("wh.a.x", fqn='"wh"."a"."x"'), executed("WH.a.x", fqn='"WH"."a"."x"')
        written(history, night(0, *both))
        with pytest.raises(UnknownModelError, match="matches several models"):
            read_trends(history).matching("wh.A.x")

"""What `why` predicts is what a run reports that follows, and asking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pytest_sqlmesh_tracker import PredictedRun, ProjectError, RunReport, Sandbox, why
from pytest_sqlmesh_tracker.outcomes.moments import parse_moment
from pytest_sqlmesh_tracker.tracking.errors.types import BusyError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.messages import Why, WhyQuery
from pytest_sqlmesh_tracker.tracking.queries.transport import ask
from tests.engines.engine import CONFIG, only_duckdb
from tests.projects import Project, at, read_between
from tests.properties.demanding.predicted import differences

from .test_due import (
    DAILY,
    DAYS,
    HOURLY,
    WEEKLY,
    audited,
    cadences,
    ended,
    everything,
    restated,
    zones,
)

DEV = "dev"


# -- as a run would report it ------------------------------------------------------------------


@pytest.mark.parametrize("scene", [cadences, zones, restated, audited, ended])
@pytest.mark.parametrize("moment", ["2024-01-05 09:20", "2024-01-07 00:10", "2024-01-09 07:05"])
@pytest.mark.long
def test_every_outcome_is_that_of_a_run(
    project: Project, scene: Callable[[Project], None], moment: str
) -> None:
    scene(project)
    project.plan_once("2024-01-05 00:05")
    with at(moment):
        demand_what_a_run_reports(project)
        # There is then nothing left to evaluate.
        demand_what_a_run_reports(project)


@pytest.mark.long
def test_a_preview_in_dev_is_predicted_apart_from_prod(project: Project) -> None:
    project.incremental("p.raw", DAYS, **DAILY)
    project.incremental("p.orders", read_between("p.raw"), ", forward_only TRUE", **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    project.incremental(
        "p.orders", f"{read_between('p.raw')} AND amount > 0", ", forward_only TRUE"
    )
    project.reload()
    with at("2024-01-05 13:00"):
        project.unwitnessed_plan(DEV, enable_preview=True, auto_apply=True)
    with at("2024-01-06 00:05"):
        predicted = demand_what_a_run_reports(project, DEV)
        # Runs of dev load a table of their own with the preview.
        assert predicted.now["p.orders"].shared_with == ()
        assert predicted.now["p.raw"].shared_with == ("prod",)
        demand_what_a_run_reports(project)


def test_models_that_were_edited_or_never_planned(project: Project) -> None:
    project.incremental("e.orders", DAYS, **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    project.incremental("e.orders", f"{DAYS} WHERE TRUE", **DAILY)
    project.incremental("e.new", read_between("e.orders"), **DAILY)
    project.reload()
    with at("2024-01-06 00:05"):
        predicted = demand_what_a_run_reports(project)
    assert predicted["e.orders"].local_edit
    assert predicted["e.new"].reason == "not_in_environment"
    assert "e.new" not in predicted.now


def test_a_model_that_starts_after_the_last_tick_of_its_cron_fails(project: Project) -> None:
    project.incremental("f.orders", DAYS, **DAILY)
    project.incremental("f.late", DAYS, cron="'@weekly'", start="'2024-01-04'")
    project.incremental("f.direct", read_between("f.late"), **DAILY)
    # Whether a model waits for what is behind an idle one depends on SQLMesh's version.
    project.model("f.idle", "SELECT * FROM f.late", kind="VIEW", **WEEKLY)
    project.incremental("f.below", read_between("f.idle"), **DAILY)
    with at("2024-01-05 00:05"):
        project.unwitnessed_plan(DEV, skip_backfill=True, auto_apply=True)
    with at("2024-01-06 00:05"):
        predicted = demand_what_a_run_reports(project, DEV)
    assert predicted.report.failed == {"f.late"}
    assert predicted["f.direct"].blocked_by == ("f.late",)
    assert predicted.message("f.late") == (
        "would fail: it starts after the last tick of its cron, which SQLMesh rejects"
    )


# -- signals -----------------------------------------------------------------------------------


@pytest.fixture
def gated(project: Project) -> Project:
    """`g.feed` has a signal; its model, a view and a daily model wait for it one after another.

    The signal holds back the days in the file `held`, and raises if there is a file `broken`.
    """
    project.write(
        "signals/__init__.py",
        f"""
        from pathlib import Path
        from sqlmesh import signal

        @signal()
        def arrived(batch):
            folder = Path({str(project.path)!r})
            (folder / "called").touch()
            if (folder / "broken").exists():
                raise ValueError("the feed is unreachable")
            held = folder / "held"
            text = held.read_text() if held.exists() else ""
            return [span for span in batch if str(span[0].date()) not in text]
        """,
    )
    project.incremental("g.feed", DAYS, signals="(arrived())", **DAILY)
    project.model("g.view", "SELECT * FROM g.feed", kind="VIEW", **DAILY)
    project.incremental("g.daily", read_between("g.view"), **DAILY)
    project.incremental("g.beside", DAYS, **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    (project.path / "called").unlink()
    return project


def test_signals_are_called_on_request_only(gated: Project) -> None:
    gated.write("held", "2024-01-05")
    with at("2024-01-06 00:05"):
        assumed = why(gated.context)
        assert not (gated.path / "called").exists()
        assert assumed.report.executed == {"g.feed", "g.view", "g.daily", "g.beside"}
        assert assumed.now["g.feed"].assumed_ready == ("arrived",)
        assert assumed.now["g.beside"].assumed_ready == ()
        called = demand_what_a_run_reports(gated, signals=True)
    assert called.signals_called
    assert called.now["g.feed"].assumed_ready == ()
    assert called["g.feed"].reason == "signal_not_ready"


def test_a_signal_matters_only_if_its_model_is_due(gated: Project) -> None:
    with at("2024-01-05 09:00"):
        assert why(gated.context).now["g.feed"].assumed_ready == ()


@pytest.mark.sqlmesh_project("sample_projects/cron_cascade", at="2024-01-10 00:05")
def test_a_model_that_a_test_holds_back(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.travel("+1 day")
    name = min(why(sqlmesh_project.context).report.executed)
    sqlmesh_project.hold(name)
    assert why(sqlmesh_project.context)[name].signals.keys() == {"held_by_test"}


def test_who_waits_for_whom_through_to_the_root(gated: Project) -> None:
    gated.write("held", "2024-01-05")
    with at("2024-01-06 00:05"):
        predicted = demand_what_a_run_reports(gated, signals=True)
    assert predicted.waits_for("g.daily") == {"g.feed": ("g.view",)}
    assert predicted.waits_for("g.view") == {"g.feed": ()}
    assert predicted.waits_for("g.feed") == {}
    assert predicted.waited_for_by("g.feed") == ("g.view", "g.daily")
    assert predicted.waited_for_by("g.view") == ("g.daily",)
    assert predicted.waited_for_by("g.daily") == ()
    assert predicted.waited_for_by("g.beside") == ()


def test_a_part_of_a_model_is_held_back(gated: Project) -> None:
    gated.write("held", "2024-01-06")
    with at("2024-01-08 00:05"):
        predicted = demand_what_a_run_reports(gated, signals=True)
    assert predicted["g.feed"].reasons == ("signal_not_ready",)
    assert predicted.waited_for_by("g.feed") == ("g.view", "g.daily")


def test_a_signal_that_raises_ends_the_run(gated: Project) -> None:
    gated.write("broken", "")
    with at("2024-01-06 00:05"):
        predicted = why(gated.context, signals=True)
        with pytest.raises(Exception, match="unreachable"):
            gated.run()
    assert predicted.report.completion == "raised"
    assert predicted["g.daily"].reason == "command_failed"
    assert predicted.message("g.daily") == ("would not be evaluated: the signal arrived raised")
    assert "the feed is unreachable" in (predicted.report.error or "")


# -- the environment ---------------------------------------------------------------------------


def test_an_unfinished_plan(project: Project) -> None:
    project.incremental("u.orders", DAYS, **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    project.execute_in_state(
        "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = 'abcdefghij'"
    )
    with at("2024-01-06 00:05"):
        predicted = why(project.context)
    assert predicted.unfinished_plan == "abcdefghij"
    assert predicted["u.orders"].reason == "environment_busy"
    assert predicted.message("u.orders") == "would wait: plan abcdefgh of prod is not finished"


def test_other_environments_with_the_same_tables_and_expiry(project: Project) -> None:
    project.incremental("o.orders", DAYS, **DAILY)
    project.incremental("o.below", read_between("o.orders"), **DAILY)
    project.write("seeds/codes.csv", "code\n1\n")
    project.model("o.codes", "", kind="SEED (path '../seeds/codes.csv')")
    with at("2024-01-05 00:05"):
        project.plan()
        project.incremental("o.below", f"{read_between('o.orders')} AND amount > 0", **DAILY)
        project.reload()
        project.plan(DEV, include_unmodified=True)
    with at("2024-01-06 00:05"):
        prod, dev = why(project.context), why(project.context, DEV)
    assert prod.expires_at is None
    assert dev.expires_at == parse_moment("2024-01-12")
    assert prod.now["o.orders"].shared_with == ("dev",)
    assert dev.now["o.orders"].shared_with == ("prod",)
    # A breaking change has a table of its own, and a seed is not loaded again.
    assert dev.now["o.below"].shared_with == dev.now["o.codes"].shared_with == ()


def test_automatic_restatements_to_come(project: Project) -> None:
    restated(project)
    project.plan_once("2024-01-05 00:05")
    with at("2024-01-06 09:00"):
        predicted = demand_what_a_run_reports(project)
    # What is due now is not to come.
    assert predicted["r.orders"].cause == "auto_restated"
    assert predicted.now["r.orders"].next_restatement == parse_moment("2024-01-07 06:30")
    assert predicted.now["r.below"].next_restatement is None


def test_what_is_loaded_now(project: Project) -> None:
    project.incremental("n.orders", DAYS, **DAILY)
    project.plan_once("2024-01-05 00:05")
    with at("2024-01-07 00:05"):
        predicted = why(project.context)
    assert predicted.now["n.orders"].loaded_through == parse_moment("2024-01-05")
    assert predicted["n.orders"].loaded_through == parse_moment("2024-01-07")


def test_names_are_those_of_sqlmesh(project: Project) -> None:
    project.incremental("n.orders", DAYS, **DAILY)
    project.plan_once("2024-01-05 00:05")
    with at("2024-01-05 09:00"):
        by_default, sanitized = why(project.context), why(project.context, "PROD")
    assert by_default.environment == sanitized.environment == "prod"
    assert by_default[project.context.models['"wh"."n"."orders"']].name == "n.orders"
    with pytest.raises(LookupError, match=r"did you mean n\.orders"):
        by_default.explain("n.order")


# -- read-only ---------------------------------------------------------------------------------


def test_an_environment_that_is_not_planned(project: Project) -> None:
    project.model("t.one", "SELECT 1 AS n")
    with pytest.raises(ProjectError, match=r"environment prod of .* has not been planned yet"):
        why(project.context)
    project.close()
    assert not any(database.has_tables() for database in project.databases.all())


@pytest.mark.processes
class TestInAProcessOfItsOwn:
    @pytest.fixture
    def planned(self, project: Project) -> Project:
        project.incremental("q.orders", DAYS, **DAILY)
        project.model("q.hourly", "SELECT * FROM q.orders", kind="VIEW", **HOURLY)
        project.plan_once("2024-01-05 00:05")
        return project

    @only_duckdb("about its files")
    def test_a_database_is_read_but_not_written(self, planned: Project) -> None:
        before = contents(planned.path)
        predicted = asked(planned)
        assert contents(planned.path) == before
        with at("2024-01-07 00:05"):
            assert not wrong(predicted.report, planned.run())

    @pytest.mark.long
    @only_duckdb("about its files")
    def test_no_database_is_created(self, project: Project) -> None:
        project.model("t.one", "SELECT 1 AS n")
        with pytest.raises(ProjectError, match=r"has not been planned yet.*environments: none"):
            asked(project)
        assert not [*project.path.glob("*.db*")]

    @pytest.mark.long
    @only_duckdb("about its lock")
    def test_a_state_that_another_process_has_locked(self, planned: Project) -> None:
        # This process has it open.
        planned.execute("SELECT 1")
        with pytest.raises(BusyError, match=r"Could not set lock on file") as raised:
            asked(planned)
        assert "\n" not in str(raised.value)

    @only_duckdb("about its lock")
    def test_the_warehouse_is_not_opened(self, tmp_path: Path) -> None:
        project = Project(tmp_path)
        gateway = {
            "connection": {"type": "duckdb", "database": str(tmp_path / "wh.db")},
            "state_connection": {"type": "duckdb", "database": str(tmp_path / "state.db")},
        }
        config = CONFIG.format(gateway=json.dumps(gateway), start="2024-01-01", dialect="duckdb")
        project.write("config.yaml", config)
        project.incremental("q.orders", DAYS, **DAILY)
        with at("2024-01-05 00:05"):
            project.plan()
        project.close()
        with (
            closing(duckdb.connect(str(tmp_path / "wh.db"))),
            # Several processes can read the state at the same time.
            closing(duckdb.connect(str(tmp_path / "state.db"), read_only=True)),
        ):
            assert asked(project).report.executed == {"q.orders"}

    @pytest.mark.long
    def test_files_that_can_not_be_read_do_not_matter(self, planned: Project) -> None:
        planned.write("models/broken.sql", "MODEL (name q.broken); SELECT FROM WHERE")
        predicted = asked(planned)
        assert predicted.report.project_files == "not_read"
        assert "broken" in (predicted.report.project_files_note or "")
        assert predicted.report.executed == {"q.orders", "q.hourly"}

    @pytest.mark.long
    def test_a_project_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(ProjectError, match="no SQLMesh project in"):
            ask(ProjectLocation([str(tmp_path)]), query(), timeout=60)


def query(moment: str = "2024-01-07 00:05", *, signals: bool = False) -> WhyQuery:
    return WhyQuery(environment=None, moment=parse_moment(moment), signals=signals)


def asked(project: Project) -> PredictedRun:
    """What a process of its own answers."""
    answer = ask(ProjectLocation([str(project.path)]), query(), timeout=120)
    assert isinstance(answer, Why)
    return answer.predicted


def contents(folder: Path) -> dict[str, bytes]:
    """Every database file below a folder, with its bytes."""
    return {file.name: file.read_bytes() for file in folder.glob("*.db*")}


# -- how it is demanded ------------------------------------------------------------------------


def demand_what_a_run_reports(
    project: Project, environment: str = "prod", *, signals: bool = False
) -> PredictedRun:
    """Predict a run of the environment, which then reports just that; asking changed nothing."""
    before = everything(project)
    predicted = why(project.context, environment, signals=signals)
    assert everything(project) == before
    report = project.run(environment)
    assert predicted.outcomes.keys() == report.outcomes.keys()
    assert predicted.report.completion == report.completion
    assert not wrong(predicted.report, report)
    return predicted


def wrong(foreseen: RunReport, report: RunReport) -> list[str]:
    """What was predicted otherwise, in words."""
    return [
        words
        for name, outcome in report.outcomes.items()
        for words in differences(foreseen[name], outcome).values()
    ]

"""The models that `due` returns are those that a run at that moment evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.outcomes.moments import parse_moment
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.opening import open_context
from pytest_sqlmesh_tracker.tracking.queries.due import due
from pytest_sqlmesh_tracker.tracking.queries.messages import Due, DueQuery, UnfinishedPlan
from tests.projects import Project, at, read_between, rows_every, state_adapter

HOURS = rows_every("1 hour")
DAYS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
HOURLY, DAILY = {"cron": "'@hourly'"}, {"cron": "'@daily'"}
SUNDAY = parse_moment("2024-01-07")
WEEKLY = {"cron": "'@weekly'", "start": "'2023-12-01'"}


@pytest.fixture
def gated(project: Project) -> Project:
    """Signals `gate(name := 'x')` hold back the days that are in the file `x`."""
    project.write(
        "signals/__init__.py",
        f"""
        from pathlib import Path
        from sqlmesh import signal

        @signal()
        def gate(batch, name="x"):
            print("a signal says what it likes")
            file = Path({str(project.path)!r}) / str(name).strip("'")
            held = file.read_text() if file.exists() else ""
            return [span for span in batch if str(span[0].date()) not in held]
        """,
    )
    return project


def cadences(project: Project) -> None:
    """A weekly model above a daily one, which an hourly one is above as well."""
    project.incremental("c.hourly", HOURS, **HOURLY)
    project.incremental("c.weekly", DAYS, **WEEKLY)
    join = "SELECT h.ts, h.amount FROM c.hourly AS h, c.weekly AS w WHERE h.ts BETWEEN"
    project.incremental("c.daily", f"{join} @start_dt AND @end_dt", **DAILY)
    project.model("c.view", "SELECT * FROM c.daily", kind="VIEW", **HOURLY)
    project.write("seeds/codes.csv", "code\n1\n")
    project.model("c.codes", "", kind="SEED (path '../seeds/codes.csv')")


def zones(project: Project) -> None:
    """Midnight in three places."""
    for name, zone in (("tokyo", "Asia/Tokyo"), ("angeles", "America/Los_Angeles"), ("utc", "UTC")):
        project.incremental(f"z.{name}", DAYS, cron_tz=f"'{zone}'", **DAILY)
    project.model("z.all", "SELECT ts FROM z.tokyo UNION SELECT ts FROM z.angeles", **HOURLY)


def restated(project: Project) -> None:
    """SQLMesh loads the last days anew: of the first model at 06:30, and so of what is below."""
    kind = ", auto_restatement_cron '30 6 * * *', auto_restatement_intervals 2"
    project.incremental("r.orders", DAYS, kind, **DAILY)
    project.incremental("r.below", read_between("r.orders"), **WEEKLY)
    project.incremental("r.beside", DAYS, **DAILY)


def audited(project: Project) -> None:
    """A standalone audit with its own cadence, an external model with an audit, an embedded one."""
    project.incremental("a.orders", DAYS, **DAILY)
    audit = "AUDIT (name orders_exist, standalone true, cron '15 * * * *');\n"
    project.write("audits/a.sql", f"{audit}SELECT 1 AS x WHERE NOT EXISTS (SELECT * FROM a.orders)")
    project.model("a.part", "SELECT ts FROM a.orders", kind="EMBEDDED")
    project.model("a.total", "SELECT COUNT(*) AS n FROM a.part", **WEEKLY)


def ended(project: Project) -> None:
    """One model that has ended, and one that is about to."""
    project.incremental("e.past", DAYS, end="'2024-01-03'", **DAILY)
    project.incremental("e.ending", DAYS, end="'2024-01-06'", **DAILY)
    project.incremental("e.going_on", DAYS, **DAILY)


@pytest.mark.parametrize("scene", [cadences, zones, restated, audited, ended])
@pytest.mark.parametrize("moment", ["2024-01-05 09:20", "2024-01-07 00:10", "2024-01-09 07:05"])
@pytest.mark.long
def test_due_models_are_those_that_a_run_evaluates(
    project: Project, scene: Callable[[Project], None], moment: str
) -> None:
    scene(project)
    project.plan_once("2024-01-05 00:05")
    with at(moment):
        demand_what_a_run_evaluates(project)
        demand_what_a_run_evaluates(project)
    demand_next_due(project, moment)


def test_no_model_is_due_again_if_all_have_ended(project: Project) -> None:
    project.incremental("e.past", DAYS, end="'2024-01-03'", **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    assert ask(project, "2024-01-07 00:05") == Due(due=(), waiting=(), next_due=None)


def test_a_signal_holds_back_its_model_and_downstream_models(gated: Project) -> None:
    gated.incremental("s.orders", DAYS, signals="(gate(name := 'orders'))", **DAILY)
    gated.incremental("s.below", read_between("s.orders"), **DAILY)
    gated.incremental("s.beside", DAYS, **DAILY)
    with at("2024-01-05 00:05"):
        gated.plan()
    gated.write("orders", "2024-01-05")
    with at("2024-01-06 00:05"):
        answered = demand_what_a_run_evaluates(gated)
        assert answered.waiting == fqns("s.orders", "s.below")
        assert answered.due == fqns("s.beside")
        # Nobody knows when the signal will be ready.
        assert demand_what_a_run_evaluates(gated).next_due == SUNDAY
    (gated.path / "orders").unlink()
    with at("2024-01-06 00:15"):
        assert demand_what_a_run_evaluates(gated).due == fqns("s.orders", "s.below")


def test_a_model_does_not_wait_for_the_signal_of_a_parent_that_is_not_due(gated: Project) -> None:
    gated.incremental("s.weekly", DAYS, signals="(gate(name := 'weekly'))", **WEEKLY)
    gated.incremental("s.daily", read_between("s.weekly"), **DAILY)
    with at("2024-01-05 00:05"):
        gated.plan()
    gated.write("weekly", "2024-01-05")
    with at("2024-01-06 00:05"):
        assert demand_what_a_run_evaluates(gated).due == fqns("s.daily")


def test_a_selection_does_not_wait_for_signals_of_unselected_models(gated: Project) -> None:
    gated.incremental("s.orders", DAYS, signals="(gate(name := 'orders'))", **DAILY)
    gated.incremental("s.below", read_between("s.orders"), **DAILY)
    with at("2024-01-05 00:05"):
        gated.plan()
    gated.write("orders", "2024-01-05")
    moment = "2024-01-06 00:05"
    answered = ask(gated, moment, models=fqns("s.below"), only=True)
    assert answered == Due(due=fqns("s.below"), waiting=(), next_due=None)
    with at(moment):
        report = gated.run(select_models=["s.below"], no_auto_upstream=True)
    report.assert_only_executed("s.below")


@pytest.mark.long
def test_failed_and_blocked_models_are_due_again(project: Project) -> None:
    project.incremental("f.orders", read_between("raw.ticks"), **DAILY)
    project.incremental("f.below", read_between("f.orders"), **DAILY)
    project.execute("CREATE SCHEMA raw; CREATE TABLE raw.ticks (ts TIMESTAMP, amount INT)")
    with at("2024-01-05 00:05"):
        project.plan()
    project.execute("DROP TABLE raw.ticks")
    with at("2024-01-06 00:05"):
        for _ in range(2):
            assert demand_what_a_run_evaluates(project).due == fqns("f.orders", "f.below")


def test_a_model_that_depends_on_its_past_waits_for_a_gap(gated: Project) -> None:
    gated.incremental(
        "g.sums", f"{DAYS} WHERE NOT EXISTS (SELECT * FROM g.sums WHERE FALSE)",
        columns="(ts TIMESTAMP, amount INT)", signals="(gate(name := 'sums'))", **DAILY,
    )  # fmt: skip
    with at("2024-01-05 00:05"):
        gated.plan()
    gated.write("sums", "2024-01-06")
    with at("2024-01-08 00:05"):
        assert demand_what_a_run_evaluates(gated).due == fqns("g.sums")
        answered = demand_what_a_run_evaluates(gated)
    assert (answered.due, answered.waiting) == ((), fqns("g.sums"))


@pytest.mark.long
@pytest.mark.nightly
def test_a_preview_in_dev_has_its_own_cadence(project: Project) -> None:
    project.incremental("p.raw", DAYS, **DAILY)
    project.incremental("p.orders", read_between("p.raw"), ", forward_only TRUE", **DAILY)
    with at("2024-01-05 00:05"):
        project.plan()
    project.incremental("p.orders", f"{read_between('p.raw')} AND 1 = 1", ", forward_only TRUE")
    project.reload()
    with at("2024-01-05 13:00"):
        project.unwitnessed_plan("dev", enable_preview=True, auto_apply=True)
    for moment in ("2024-01-05 14:00", "2024-01-06 00:05"):
        with at(moment):
            demand_what_a_run_evaluates(project, "dev")
            demand_what_a_run_evaluates(project)
    demand_next_due(project, moment, "dev")


def test_a_missing_environment(project: Project) -> None:
    project.model("t.one", "SELECT 1 AS n")
    with at("2024-01-05 00:05"):
        project.plan()
    words = r"environment dev of .* has not been planned yet; create .* \(environments: prod\)"
    with pytest.raises(ProjectError, match=words):
        ask(project, "2024-01-05 00:05", "dev")


def test_a_query_creates_no_state(project: Project) -> None:
    project.model("t.one", "SELECT 1 AS n")
    words = r"environment prod of .* has not been planned yet; create .* \(environments: none\)"
    with pytest.raises(ProjectError, match=words):
        ask(project, "2024-01-05 00:05")
    project.close()
    assert not any(database.has_tables() for database in project.databases.all())


def test_a_plan_that_is_being_applied(project: Project) -> None:
    project.model("t.one", "SELECT 1 AS n")
    with at("2024-01-05 00:05"):
        project.plan()
    project.execute_in_state(
        "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = 'abc'"
    )
    assert answer(project, "2024-01-05 00:05") == UnfinishedPlan(plan="abc")


# -- how it is demanded ------------------------------------------------------------------------


def demand_what_a_run_evaluates(project: Project, environment: str = "prod") -> Due:
    """Ask what is due now; a run evaluates that, and nothing was changed by asking."""
    before = everything(project)
    answered = ask(project, datetime.now(timezone.utc).isoformat(), environment)
    assert everything(project) == before
    assert set(answered.due) == scheduled(project.run(environment))
    return answered


def demand_next_due(project: Project, moment: str, environment: str = "prod") -> None:
    """Nothing is due before the next due time, and something is from then on."""
    answered = ask(project, moment, environment)
    assert answered.due == answered.waiting == ()
    assert answered.next_due is not None
    tick = answered.next_due.replace(tzinfo=None)
    with at(tick - timedelta(seconds=4)):
        assert not scheduled(project.run(environment))
    with at(tick):
        assert scheduled(project.run(environment))


def ask(
    project: Project,
    moment: str,
    environment: str = "prod",
    *,
    models: Sequence[str] | None = None,
    only: bool = False,
) -> Due:
    """What is due in an environment without an unfinished plan."""
    answered = answer(project, moment, environment, models=models, only=only)
    assert isinstance(answered, Due)
    return answered


def answer(
    project: Project,
    moment: str,
    environment: str = "prod",
    *,
    models: Sequence[str] | None = None,
    only: bool = False,
) -> Due | UnfinishedPlan:
    """As in a separate process: with a context that has not loaded the project."""
    if models is None:
        models = [*project.context.models, *project.context.standalone_audits]
    query = DueQuery(
        environment=environment, moment=parse_moment(moment), models=tuple(models), only=only
    )
    with not_loaded(project) as context:
        return due(context, query)


@contextmanager
def not_loaded(project: Project) -> Iterator[Any]:
    project.context.close()
    context = open_context(ProjectLocation([str(project.path)]), load=False)
    try:
        yield context
    finally:
        context.close()


def scheduled(report: RunReport) -> set[str]:
    """The models and standalone audits with a scheduled batch."""
    return {outcome.fqn for outcome in report.outcomes.values() if outcome.batches}


def everything(project: Project) -> dict[str, list[Any]]:
    """All rows of all tables of the project, SQLMesh's state among them."""
    rows: dict[str, list[Any]] = {}
    for adapter in (project.context.engine_adapter, state_adapter(project.context)):
        tables = adapter.fetchall("SELECT schema_name, table_name FROM duckdb_tables()")
        for name in sorted(f'"{schema}"."{table}"' for schema, table in tables):
            rows[name] = sorted(adapter.fetchall(f"SELECT * FROM {name}"), key=str)
    return rows


def fqns(*names: str) -> tuple[str, ...]:
    return tuple(".".join(f'"{part}"' for part in ("wh", *name.split("."))) for name in names)

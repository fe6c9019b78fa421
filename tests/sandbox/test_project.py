"""An isolated project in a test's hands: plans, runs, time, files, and nothing left behind."""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from inspect import signature
from pathlib import Path

import pytest
import time_machine
from sqlmesh import Context
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker import Sandbox, SandboxError, sqlmesh_run_tracker, track_all

from .conftest import Sandboxes

BEGAN = datetime(2024, 1, 5, 0, 5, tzinfo=timezone.utc)


def test_it_begins_planned_and_with_nothing_to_do(sandbox: Sandboxes, payroll: Path) -> None:
    with sandbox(payroll) as project:
        assert not project.tracker.reports
        assert BEGAN < project.now < BEGAN + timedelta(seconds=30)
        project.run().assert_nothing_executed()
        assert project.fetch("SELECT sum(amount) FROM pay.slips") == [(32,)]


def test_a_week_goes_by(sandbox: Sandboxes, payroll: Path) -> None:
    executed = []
    with sandbox(payroll, select="pay.noted") as project:
        for _ in range(7):
            executed.append("pay.noted" in project.run(at="+1 day").executed)
    assert executed == [False, True, False, False, False, False, False]


def test_it_is_an_isolated_copy(sandbox: Sandboxes, payroll: Path) -> None:
    with sandbox(payroll) as one, sandbox(payroll) as other:
        assert one.path != other.path
        one.execute("DROP VIEW pay.slips")
        assert other.fetch("SELECT count(*) FROM pay.slips") == [(4,)]


@pytest.mark.long
def test_a_test_leaves_nothing_behind(sandbox: Sandboxes, payroll: Path) -> None:
    def open_files() -> list[str]:
        return sorted(os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir())

    with sandbox(payroll) as project:
        path = project.path
    before, environment = open_files(), dict(os.environ)
    for _ in range(3):
        with sandbox(payroll) as project:
            project.run(at="+1 day").assert_executed("pay.slips")
    assert [file for file in open_files() if "sandbox" in file] == [
        file for file in before if "sandbox" in file
    ]
    assert not path.parents[1].exists()
    assert dict(os.environ) == environment
    assert abs(datetime.now(timezone.utc).year - 2024) >= 1


def test_closed_sandboxes_are_forgotten(sandbox: Sandboxes, payroll: Path) -> None:
    with sandbox(payroll) as project:
        project.run(at="+1 day")
        context = weakref.ref(project.context)
    del project
    gc.collect()
    assert context() is None


class TestTime:
    def test_goes_on_to_the_requested_time(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            report = project.run(at="2024-01-06 00:05")
            assert report.started_at >= BEGAN + timedelta(days=1)
            assert report.started_at - BEGAN < timedelta(days=1, minutes=1)
            project.travel(timedelta(hours=1))
            assert f"{project.now:%d %H}" == "06 01"

    def test_may_be_requested_again(self, sandbox: Sandboxes, payroll: Path) -> None:
        """It is not in the past, though the clock has gone on since."""
        with sandbox(payroll) as project:
            project.run(at="2024-01-05 00:05")
            project.run(at="2024-01-06 00:05")
            project.run(at="2024-01-06 00:05").assert_nothing_executed()

    def test_does_not_go_back(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            with pytest.raises(SandboxError, match="is before the sandbox's time"):
                project.run(at="2024-01-04")
            assert not project.tracker.reports
            project.travel("2024-01-04", backwards=True)
            assert f"{project.now:%Y-%m-%d}" == "2024-01-04"

    @pytest.mark.long
    def test_that_does_not_tick_keeps_the_order_of_what_is_stored(
        self, sandbox: Sandboxes, payroll: Path
    ) -> None:
        """With a stopped clock, what was restated runs again."""
        with sandbox(payroll, tick=False) as project:
            project.run(at="2024-01-06 00:05")
            project.plan(restate_models=["pay.hours"]).assert_executed("pay.hours", "pay.slips")
            project.run().assert_nothing_executed()
            moments = [row for (row,) in project.fetch("SELECT created_ts FROM sqlmesh._intervals")]
            today = [moment for moment in moments if moment > BEGAN.timestamp() * 1000 + 60_000]
            assert max(today) > min(today)
            assert project.now < datetime(2024, 1, 6, 0, 6, tzinfo=timezone.utc)


class TestPlansAndRuns:
    def test_of_another_environment(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            assert project.plan("dev", include_unmodified=True).environment == "dev"
            report = project.run("dev", at="+1 day")
            assert report.environment == "dev"
            assert project.run().environment == "prod"

    def test_pass_arguments_on(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            report = project.run(select_models=["pay.clocked"], ignore_cron=True, at="+1 day")
            report.assert_only_executed("pay.clocked")
            plan = project.plan(restate_models=["pay.total"], auto_apply=False)
            plan.assert_skipped("pay.total", reason="not_applied")

    @pytest.mark.parametrize(
        ("command", "arguments", "words"),
        [
            ("run", {"environment": "staging"}, "staging"),
            ("run", {"select_models": ["+"]}, "expected model name"),
            ("plan", {"environment": "dev"}, "requires a change"),
            ("plan", {"start": "2024-01-02"}, "start and end dates"),
        ],
    )
    def test_raise_what_is_the_users_mistake(
        self,
        sandbox: Sandboxes,
        payroll: Path,
        command: str,
        arguments: dict[str, object],
        words: str,
    ) -> None:
        with sandbox(payroll) as project:
            with pytest.raises(Exception, match=f"(?i){words}"):
                getattr(project, command)(**arguments)
            assert project.tracker.last.completion == "raised"

    def test_raise_lint_errors(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            project.context.config.linter.enabled = True
            project.context.config.linter.rules = {"ambiguousorinvalidcolumn"}
            project.write("models/new.sql", "MODEL (name pay.new, kind FULL); SELECT nonsense")
            with pytest.raises(Exception, match=r"(?i)lint"):
                project.plan()
        with sandbox(payroll) as project:
            assert not project.context.config.linter.enabled

    def test_interrupts_are_not_swallowed(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            project.write(
                "models/stops.py",
                "from sqlmesh import model\n\n\n"
                "@model('pay.stops', columns={'a': 'int'})\n"
                "def execute(context, **kwargs):\n"
                "    raise KeyboardInterrupt\n",
            )
            with pytest.raises(KeyboardInterrupt):
                project.plan()
            assert project.tracker.last.completion == "interrupted"


class TestFiles:
    def test_are_written_in_this_copy_alone(self, sandbox: Sandboxes, payroll: Path) -> None:
        original = (payroll / "models/pay.total.sql").read_bytes()
        with sandbox(payroll) as project:
            project.write("models/pay.total.sql", "MODEL (name pay.total); SELECT 1 AS amount")
            assert project.plan("dev").executed == {"pay.total", "pay.now"}
        with sandbox(payroll) as project:
            assert not project.plan().executed
            assert (project.path / "models/pay.total.sql").read_bytes() == original
        assert (payroll / "models/pay.total.sql").read_bytes() == original

    def test_that_are_new_become_models(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            project.write("models/new/one.sql", "MODEL (name pay.one); SELECT 1 AS one")
            project.plan().assert_only_executed("pay.one")

    def test_may_be_edited_without_write(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            file = project.context.path / "models" / "pay.total.sql"
            file.write_text(file.read_text().replace("SUM", "MAX"))
            project.context.load()
            project.plan("dev").assert_executed("pay.total")
        with sandbox(payroll) as project:
            assert not project.plan().executed

    @pytest.mark.parametrize("file", ["config.yaml", ".env"])
    def test_that_are_read_but_once_are_not_written(
        self, sandbox: Sandboxes, payroll: Path, file: str
    ) -> None:
        with sandbox(payroll) as project:
            with pytest.raises(SandboxError, match=f"{file} is read once, from the project"):
                project.write(file, "variables: {a: 1}")

    def test_that_declare_external_models_give_them_tables(
        self, sandbox: Sandboxes, payroll: Path
    ) -> None:
        with sandbox(payroll) as project:
            project.write("external_models/more.yaml", "- {name: raw.more, columns: {id: int}}")
            assert project.fetch("SELECT count(*) FROM raw.more") == [(0,)]

    @pytest.mark.parametrize("path", ["../other.sql", "/elsewhere/x.sql", "."])
    def test_outside_of_the_project_are_not_written(
        self, sandbox: Sandboxes, payroll: Path, path: str
    ) -> None:
        with sandbox(payroll) as project:
            with pytest.raises(SandboxError, match="must be below the project's folder"):
                project.write(path, "SELECT 1")

    @pytest.mark.parametrize("days", [1, 2])
    def test_with_signals_and_macros_are_forgotten_with_their_copy(
        self, sandbox: Sandboxes, payroll: Path, days: int
    ) -> None:
        """The same names mean something else in the next test."""
        with sandbox(payroll) as project:
            signal = f"import datetime\n\n\n@signal()\ndef late(batch):\n    return {days} > 1\n"
            project.write("signals/late.py", f"from sqlmesh import signal\n{signal}")
            macro = f"@macro()\ndef days(evaluator):\n    return {days} * 1\n"
            project.write("macros/days.py", f"from sqlmesh import macro\n\n\n{macro}")
            project.write(
                "models/new.sql",
                "MODEL (name pay.new, kind FULL, signals [late()]); SELECT @days() AS days",
            )
            report = project.plan()
            if days == 1:
                report.assert_skipped("pay.new", reason="signal_not_ready")
            else:
                assert project.fetch("SELECT days FROM pay.new") == [(2,)]

    def test_that_are_broken_raise_what_sqlmesh_says(
        self, sandbox: Sandboxes, payroll: Path
    ) -> None:
        with sandbox(payroll) as project:
            with pytest.raises(Exception, match=r"(?s)broken\.sql"):
                project.write("models/broken.sql", "MODEL (name pay.broken; SELECT")


class TestTracking:
    @pytest.mark.long
    def test_hears_the_test_and_not_the_template(self, sandbox: Sandboxes, payroll: Path) -> None:
        with track_all() as outer:
            # At a time that no other test begins at: the template is planned now.
            with sandbox(payroll, at="2024-01-03 00:05") as project:
                assert not outer.reports
                with sqlmesh_run_tracker(project.context) as inner:
                    project.run()
                project.run(at="+1 day")
                assert project.tracker.reports == outer.reports
                assert inner.reports == outer.reports[:1]

    def test_hears_the_context_as_well(self, sandbox: Sandboxes, payroll: Path) -> None:
        with sandbox(payroll) as project:
            project.context.run()
            assert project.tracker.last.command == "run"


@pytest.mark.parametrize("call", ["execute", "fetch"])
@pytest.mark.parametrize(
    "sql",
    ["ATTACH '{}/other.db' AS other", "COPY (SELECT 1 AS one) TO '{}/out.csv'"],
)
def test_statements_of_a_test_do_not_lead_out(
    sandbox: Sandboxes, payroll: Path, tmp_path: Path, call: str, sql: str
) -> None:
    with sandbox(payroll) as project:
        with pytest.raises(Exception, match=r"a sandbox (attaches|writes)"):
            getattr(project, call)(sql.format(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_test_just_before_midnight_begins_before_midnight(
    sandbox: Sandboxes, payroll: Path
) -> None:
    with sandbox(payroll, at="2024-01-05 23:59:57", tick=False) as project:
        assert f"{project.now:%d %H:%M}" == "05 23:59"
        project.run().assert_nothing_executed()


def test_a_clock_other_than_the_sandboxes_is_reported(sandbox: Sandboxes, payroll: Path) -> None:
    with sandbox(payroll) as project:
        with time_machine.travel("2024-03-01", tick=False):
            with pytest.raises(SandboxError, match="another clock is in effect"):
                project.run(at="+1 day")


def test_models_that_are_upserted_are_this_copys_alone(sandbox: Sandboxes, payroll: Path) -> None:
    with sandbox(payroll) as project:
        context = project.context
        before = {name: model.mapping_schema.copy() for name, model in context.models.items()}
        context.upsert_model("pay.slips", columns={"ts": "timestamp", "extra": "int"})
    with sandbox(payroll) as project:
        after = {name: model.mapping_schema for name, model in project.context.models.items()}
        assert after == before


class TestAPlanThatLeavesItsEnvironmentUnfinished:
    """SQLMesh's next run waits for hours. In a sandbox, nothing else can finish the plan."""

    @pytest.fixture
    def stuck(self, sandbox: Sandboxes, payroll: Path) -> Iterator[Sandbox]:
        kind = "SCD_TYPE_2_BY_COLUMN (unique_key id, columns [name])"
        with sandbox(payroll) as project:
            query = "SELECT id::INT AS id, name::TEXT AS name FROM query('FROM raw.not_there')"
            project.write("models/hist.sql", f"MODEL (name s.hist, kind {kind}); {query}")
            report = project.plan()
            assert report.environment_state is not None
            yield project

    def test_a_run_raises_at_once(self, stuck: Sandbox) -> None:
        began = time.monotonic()
        with pytest.raises(SQLMeshError, match=r"of prod is not finished; .* apply a plan to prod"):
            stuck.run(at="+1 day")
        assert time.monotonic() - began < 15
        assert stuck.tracker.last["s.hist"].reason == "environment_busy"

    @pytest.mark.long
    def test_and_works_after_the_next_plan(self, stuck: Sandbox) -> None:
        stuck.execute("CREATE TABLE raw.not_there (id INT, name TEXT)")
        stuck.plan().assert_executed("s.hist")
        stuck.run(at="+1 day").assert_executed("s.hist")


@pytest.mark.parametrize("name", ["run", "plan", "apply", "audit"])
def test_its_context_has_sqlmeshs_signatures(sandbox: Sandboxes, payroll: Path, name: str) -> None:
    with sandbox(payroll) as project:
        method = getattr(project.context, name)
        assert signature(method) == signature(getattr(Context, name).__get__(project.context))

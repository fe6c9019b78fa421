"""An isolated project in a test: plans, runs, time and files, with nothing left behind."""

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

from .building import Sandboxes

BEGAN = datetime(2024, 1, 5, 0, 5, tzinfo=timezone.utc)


def test_a_sandbox_starts_planned_and_with_nothing_due(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        assert not sandbox.tracker.reports
        assert BEGAN < sandbox.now < BEGAN + timedelta(seconds=30)
        sandbox.run().assert_nothing_executed()
        assert sandbox.fetch("SELECT sum(amount) FROM pay.slips") == [(32,)]


def test_a_week_passes(sandboxes: Sandboxes, payroll: Path) -> None:
    executed = []
    with sandboxes(payroll, select="pay.noted") as sandbox:
        for _ in range(7):
            executed.append("pay.noted" in sandbox.run(at="+1 day").executed)
    assert executed == [False, True, False, False, False, False, False]


def test_a_sandbox_is_an_isolated_copy(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as one, sandboxes(payroll) as other:
        assert one.path != other.path
        one.execute("DROP VIEW pay.slips")
        assert other.fetch("SELECT count(*) FROM pay.slips") == [(4,)]


@pytest.mark.long
def test_a_test_leaves_nothing_behind(sandboxes: Sandboxes, payroll: Path) -> None:
    def open_files() -> list[str]:
        return sorted(os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir())

    with sandboxes(payroll) as sandbox:
        path = sandbox.path
    before, environment = open_files(), dict(os.environ)
    for _ in range(3):
        with sandboxes(payroll) as sandbox:
            sandbox.run(at="+1 day").assert_executed("pay.slips")
    assert [file for file in open_files() if "sandbox" in file] == [
        file for file in before if "sandbox" in file
    ]
    assert not path.parents[1].exists()
    assert dict(os.environ) == environment
    assert abs(datetime.now(timezone.utc).year - 2024) >= 1


def test_closed_sandboxes_are_garbage_collected(sandboxes: Sandboxes, payroll: Path) -> None:
    contexts = []
    for _ in range(4):
        with sandboxes(payroll) as sandbox:
            sandbox.run(at="+1 day")
            contexts.append(weakref.ref(sandbox.context))
        del sandbox
    gc.collect()
    # If SQLMesh can't optimize a query, the model, which all copies share, keeps the error of the
    # first attempt, whose traceback has the context (sqlmesh/core/renderer.py, `_violated_rules`).
    # Python 3.13 can refer to the last one a while longer.
    assert [context() for context in contexts[1:-1]] == [None, None]


class TestTime:
    def test_advances_to_the_requested_time(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            report = sandbox.run(at="2024-01-06 00:05")
            assert report.started_at >= BEGAN + timedelta(days=1)
            assert report.started_at - BEGAN < timedelta(days=1, minutes=1)
            sandbox.travel(timedelta(hours=1))
            assert f"{sandbox.now:%d %H}" == "06 01"

    def test_may_be_requested_again(self, sandboxes: Sandboxes, payroll: Path) -> None:
        """It is not in the past, though the clock has gone on since."""
        with sandboxes(payroll) as sandbox:
            sandbox.run(at="2024-01-05 00:05")
            sandbox.run(at="2024-01-06 00:05")
            sandbox.run(at="2024-01-06 00:05").assert_nothing_executed()

    def test_does_not_go_back(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(SandboxError, match="is before the sandbox's time"):
                sandbox.run(at="2024-01-04")
            assert not sandbox.tracker.reports
            sandbox.travel("2024-01-04", backwards=True)
            assert f"{sandbox.now:%Y-%m-%d}" == "2024-01-04"

    @pytest.mark.long
    def test_a_stopped_clock_preserves_the_order_of_stored_objects(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        """With a stopped clock, what was restated runs again."""
        with sandboxes(payroll, tick=False) as sandbox:
            sandbox.run(at="2024-01-06 00:05")
            sandbox.plan(restate_models=["pay.hours"]).assert_executed("pay.hours", "pay.slips")
            sandbox.run().assert_nothing_executed()
            moments = [row for (row,) in sandbox.fetch("SELECT created_ts FROM sqlmesh._intervals")]
            today = [moment for moment in moments if moment > BEGAN.timestamp() * 1000 + 60_000]
            assert max(today) > min(today)
            assert sandbox.now < datetime(2024, 1, 6, 0, 6, tzinfo=timezone.utc)


class TestPlansAndRuns:
    def test_plans_and_runs_of_another_environment(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with sandboxes(payroll) as sandbox:
            assert sandbox.plan("dev", include_unmodified=True).environment == "dev"
            report = sandbox.run("dev", at="+1 day")
            assert report.environment == "dev"
            assert sandbox.run().environment == "prod"

    def test_pass_arguments_on(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            report = sandbox.run(select_models=["pay.clocked"], ignore_cron=True, at="+1 day")
            report.assert_only_executed("pay.clocked")
            plan = sandbox.plan(restate_models=["pay.total"], auto_apply=False)
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
    def test_raise_errors_of_the_user(
        self,
        sandboxes: Sandboxes,
        payroll: Path,
        command: str,
        arguments: dict[str, object],
        words: str,
    ) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(Exception, match=f"(?i){words}"):
                getattr(sandbox, command)(**arguments)
            assert sandbox.tracker.last.completion == "raised"

    def test_raise_lint_errors(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.context.config.linter.enabled = True
            sandbox.context.config.linter.rules = {"ambiguousorinvalidcolumn"}
            sandbox.write("models/new.sql", "MODEL (name pay.new, kind FULL); SELECT nonsense")
            with pytest.raises(Exception, match=r"(?i)lint"):
                sandbox.plan()
        with sandboxes(payroll) as sandbox:
            assert not sandbox.context.config.linter.enabled

    def test_interrupts_are_not_swallowed(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.write(
                "models/stops.py",
                "from sqlmesh import model\n\n\n"
                "@model('pay.stops', columns={'a': 'int'})\n"
                "def execute(context, **kwargs):\n"
                "    raise KeyboardInterrupt\n",
            )
            with pytest.raises(KeyboardInterrupt):
                sandbox.plan()
            assert sandbox.tracker.last.completion == "interrupted"


class TestFiles:
    def test_are_written_only_in_this_copy(self, sandboxes: Sandboxes, payroll: Path) -> None:
        original = (payroll / "models/pay.total.sql").read_bytes()
        with sandboxes(payroll) as sandbox:
            sandbox.write("models/pay.total.sql", "MODEL (name pay.total); SELECT 1 AS amount")
            assert sandbox.plan("dev").executed == {"pay.total", "pay.now"}
        with sandboxes(payroll) as sandbox:
            assert not sandbox.plan().executed
            assert (sandbox.path / "models/pay.total.sql").read_bytes() == original
        assert (payroll / "models/pay.total.sql").read_bytes() == original

    def test_new_files_become_models(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.write("models/new/one.sql", "MODEL (name pay.one); SELECT 1 AS one")
            sandbox.plan().assert_only_executed("pay.one")

    def test_may_be_edited_without_write(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            file = sandbox.context.path / "models" / "pay.total.sql"
            file.write_text(file.read_text().replace("SUM", "MAX"))
            sandbox.context.load()
            sandbox.plan("dev").assert_executed("pay.total")
        with sandboxes(payroll) as sandbox:
            assert not sandbox.plan().executed

    @pytest.mark.parametrize("file", ["config.yaml", ".env"])
    def test_files_that_are_read_only_once_cannot_be_written(
        self, sandboxes: Sandboxes, payroll: Path, file: str
    ) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(SandboxError, match=f"{file} is read once, from the project"):
                sandbox.write(file, "variables: {a: 1}")

    def test_declarations_of_external_models_create_their_tables(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.write("external_models/more.yaml", "- {name: raw.more, columns: {id: int}}")
            assert sandbox.fetch("SELECT count(*) FROM raw.more") == [(0,)]

    @pytest.mark.parametrize("path", ["../other.sql", "/elsewhere/x.sql", "."])
    def test_outside_of_the_project_cannot_be_written(
        self, sandboxes: Sandboxes, payroll: Path, path: str
    ) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(SandboxError, match="must be below the project's folder"):
                sandbox.write(path, "SELECT 1")

    @pytest.mark.parametrize("days", [1, 2])
    def test_signals_and_macros_are_unloaded_with_their_copy(
        self, sandboxes: Sandboxes, payroll: Path, days: int
    ) -> None:
        """The same names mean something else in the next test."""
        with sandboxes(payroll) as sandbox:
            signal = f"import datetime\n\n\n@signal()\ndef late(batch):\n    return {days} > 1\n"
            sandbox.write("signals/late.py", f"from sqlmesh import signal\n{signal}")
            macro = f"@macro()\ndef days(evaluator):\n    return {days} * 1\n"
            sandbox.write("macros/days.py", f"from sqlmesh import macro\n\n\n{macro}")
            sandbox.write(
                "models/new.sql",
                "MODEL (name pay.new, kind FULL, signals [late()]); SELECT @days() AS days",
            )
            report = sandbox.plan()
            if days == 1:
                report.assert_skipped("pay.new", reason="signal_not_ready")
            else:
                assert sandbox.fetch("SELECT days FROM pay.new") == [(2,)]

    def test_broken_files_raise_the_error_of_sqlmesh(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with sandboxes(payroll) as sandbox:
            with pytest.raises(Exception, match=r"(?s)broken\.sql"):
                sandbox.write("models/broken.sql", "MODEL (name pay.broken; SELECT")


class TestTracking:
    @pytest.mark.long
    def test_includes_the_test_and_not_the_template(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with track_all() as outer:
            # At a time that no other test begins at: the template is planned now.
            with sandboxes(payroll, at="2024-01-03 00:05") as sandbox:
                assert not outer.reports
                with sqlmesh_run_tracker(sandbox.context) as inner:
                    sandbox.run()
                sandbox.run(at="+1 day")
                assert sandbox.tracker.reports == outer.reports
                assert inner.reports == outer.reports[:1]

    def test_includes_calls_of_the_context(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll) as sandbox:
            sandbox.context.run()
            assert sandbox.tracker.last.command == "run"


@pytest.mark.parametrize("call", ["execute", "fetch"])
@pytest.mark.parametrize(
    "sql",
    ["ATTACH '{}/other.db' AS other", "COPY (SELECT 1 AS one) TO '{}/out.csv'"],
)
def test_statements_of_a_test_cannot_reach_other_databases(
    sandboxes: Sandboxes, payroll: Path, tmp_path: Path, call: str, sql: str
) -> None:
    with sandboxes(payroll) as sandbox:
        with pytest.raises(Exception, match=r"a sandbox (attaches|rejects)"):
            getattr(sandbox, call)(sql.format(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_test_just_before_midnight_starts_before_midnight(
    sandboxes: Sandboxes, payroll: Path
) -> None:
    with sandboxes(payroll, at="2024-01-05 23:59:57", tick=False) as sandbox:
        assert f"{sandbox.now:%d %H:%M}" == "05 23:59"
        sandbox.run().assert_nothing_executed()


def test_a_clock_other_than_the_sandboxes_is_reported(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        with time_machine.travel("2024-03-01", tick=False):
            with pytest.raises(SandboxError, match="another clock is in effect"):
                sandbox.run(at="+1 day")


def test_upserted_models_exist_only_in_this_copy(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll) as sandbox:
        context = sandbox.context
        before = {name: model.mapping_schema.copy() for name, model in context.models.items()}
        context.upsert_model("pay.slips", columns={"ts": "timestamp", "extra": "int"})
    with sandboxes(payroll) as sandbox:
        after = {name: model.mapping_schema for name, model in sandbox.context.models.items()}
        assert after == before


class TestAPlanThatLeavesItsEnvironmentUnfinished:
    """SQLMesh's next run waits for hours. In a sandbox, nothing else can finish the plan."""

    @pytest.fixture
    def stuck(self, sandboxes: Sandboxes, payroll: Path) -> Iterator[Sandbox]:
        kind = "SCD_TYPE_2_BY_COLUMN (unique_key id, columns [name])"
        with sandboxes(payroll) as sandbox:
            query = "SELECT id::INT AS id, name::TEXT AS name FROM query('FROM raw.not_there')"
            sandbox.write("models/hist.sql", f"MODEL (name s.hist, kind {kind}); {query}")
            report = sandbox.plan()
            assert report.environment_state is not None
            yield sandbox

    def test_a_run_raises_at_once(self, stuck: Sandbox) -> None:
        began = time.monotonic()
        with pytest.raises(SQLMeshError, match=r"of prod is not finished; .* apply a plan to prod"):
            stuck.run(at="+1 day")
        assert time.monotonic() - began < 15
        assert stuck.tracker.last["s.hist"].reason == "environment_busy"

    @pytest.mark.long
    def test_a_run_succeeds_after_the_next_plan(self, stuck: Sandbox) -> None:
        stuck.execute("CREATE TABLE raw.not_there (id INT, name TEXT)")
        stuck.plan().assert_executed("s.hist")
        stuck.run(at="+1 day").assert_executed("s.hist")


@pytest.mark.parametrize("name", ["run", "plan", "apply", "audit"])
def test_methods_of_the_context_have_the_signatures_of_sqlmesh(
    sandboxes: Sandboxes, payroll: Path, name: str
) -> None:
    with sandboxes(payroll) as sandbox:
        method = getattr(sandbox.context, name)
        assert signature(method) == signature(getattr(Context, name).__get__(sandbox.context))

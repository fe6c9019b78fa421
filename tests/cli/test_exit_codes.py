"""How the command line reports a run or a plan: its exit code and its messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import GatePolicy
from pytest_sqlmesh_tracker.cli.run_and_plan import exit_code
from pytest_sqlmesh_tracker.tracking import command
from tests.builders import executed, run, unknown
from tests.engines.engine import ENGINE, only_duckdb

from .conftest import Ended, Typed, execute, execute_in_state, process

pytestmark = pytest.mark.usefixtures("shop")

CHANGING = """
from sqlmesh import model


@model("shop.changing", kind="FULL", columns={"n": "int"}, cron="@daily")
def execute(context, start, end, execution_time, **kwargs):
    CHANGE
    yield from ()
"""
PANIC = "class Panic(BaseException): ...\n\nraise Panic('at once')\n"
TODAY, TOMORROW = "2024-01-09 00:10", "2024-01-10 00:05"


def output_of(ended: Ended) -> str:
    """All that was printed, for the message of a failed assertion."""
    return f"\n{ended.out}\n{ended.err}"


def count_weeks_by(expression: str) -> None:
    """Change shop.weekly."""
    model = Path("models/shop.weekly.sql")
    model.write_text(model.read_text().replace("COUNT(*)", expression))


def lose_the_rates() -> None:
    execute(Path.cwd(), "DROP TABLE raw.rates")


@pytest.mark.long
def test_a_run_that_executes_due_models(typed: Typed) -> None:
    ended = typed("run", when=TOMORROW)
    assert ended.code == 0, output_of(ended)
    assert "executed  shop.daily" in ended.out
    assert "cron_not_due" in ended.out or "its cron was not due" in ended.out
    assert "gate passed: 4 outcomes in 1 report" in ended.out


def test_a_project_that_cannot_be_loaded_is_a_command_error(typed: Typed) -> None:
    Path("models/broken.sql").write_text("MODEL (name shop.broken, kind FULL); SELECT (")
    ended = typed("plan", "--auto-apply", "--report", "r.md", "--report", "r.html")
    assert ended.code == 2, output_of(ended)
    line = "the plan failed before it reached any model; see SQLMesh's own messages"
    assert f"**The command**\n\n- ❌ {line}\n" in Path("r.md").read_text()
    assert "command error" in Path("r.html").read_text()


def test_a_run_with_nothing_due(typed: Typed) -> None:
    ended = typed("run", when=TODAY)
    assert ended.code == 0, output_of(ended)


def test_a_run_before_any_plan(typed: Typed) -> None:
    execute_in_state(Path.cwd(), "DROP SCHEMA sqlmesh CASCADE")
    ended = typed("run")
    assert ended.code == 2, output_of(ended)


def test_an_upstream_failure(typed: Typed) -> None:
    lose_the_rates()
    ended = typed("run", when=TOMORROW)
    assert ended.code == 1, output_of(ended)
    assert "shop.orders failed" in ended.out
    assert "shop.daily was skipped: an upstream model failed (shop.orders)" in ended.out


def test_a_signal_that_blocks_a_model(typed: Typed) -> None:
    Path("feed_is_late").touch()
    ended = typed("run", when=TOMORROW)
    assert ended.code == 1, output_of(ended)
    assert "marketing.spend was skipped: its signal was not ready (feed_is_there)" in ended.out


def test_without_the_gate_a_blocked_model_is_not_a_failure(typed: Typed) -> None:
    Path("feed_is_late").touch()
    assert typed("run", "--no-gate", when=TOMORROW).code == 0


def test_without_the_gate_a_failed_model_is_a_failure(typed: Typed) -> None:
    lose_the_rates()
    ended = typed("run", "--no-gate", when=TOMORROW)
    assert ended.code == 1, output_of(ended)
    assert "gate" not in ended.out


def test_without_the_gate_a_failure_of_unknown_models_is_a_failure() -> None:
    failed = run(unknown("shop.orders"), completion="failure")
    assert exit_code(command.Ended((failed,), code=1), None, None) == 1


def test_a_plan_without_changes(typed: Typed) -> None:
    ended = typed("plan", "--auto-apply", "--no-prompts", when=TODAY)
    assert ended.code == 0, output_of(ended)


def test_a_plan_that_fails(typed: Typed) -> None:
    count_weeks_by("error('no luck')")
    ended = typed("plan", "--auto-apply", "--no-prompts", when=TODAY)
    assert ended.code == 1, output_of(ended)
    assert "shop.weekly failed" in ended.out


def test_a_plan_whose_prompt_is_not_answered(typed: Typed) -> None:
    count_weeks_by("COUNT(*) + 1")
    ended = typed("plan", when=TODAY)
    assert ended.code == 2, output_of(ended)
    assert "--auto-apply" in ended.err


def test_a_plan_that_is_declined(typed: Typed) -> None:
    count_weeks_by("COUNT(*) + 1")
    ended = typed("plan", "--no-prompts", when=TODAY, typed_in="n\n")
    assert ended.code == 1, output_of(ended)
    assert "the plan was not applied" in ended.out


def test_an_unknown_environment(typed: Typed) -> None:
    ended = typed("run", "nowhere")
    assert ended.code == 2, output_of(ended)
    assert "nowhere" in ended.out


def test_no_project(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = typed("-p", str(tmp_path / "empty"), "run")
    assert ended.code == 2, output_of(ended)
    assert "SQLMesh project config could not be found" in ended.out


@pytest.mark.parametrize("gate", ["--gate", "--no-gate"])
def test_a_folder_that_does_not_exist(typed: Typed, gate: str) -> None:
    ended = typed("run", "-p", "nowhere", gate)
    assert ended.code == 2, output_of(ended)
    assert "nowhere" in ended.out + ended.err


def test_a_broken_model(typed: Typed) -> None:
    Path("models/broken.sql").write_text("MODEL (name shop.broken); SELECT FROM WHERE")
    ended = typed("plan", "--auto-apply")
    assert ended.code == 2, output_of(ended)
    assert "broken.sql" in ended.out


@only_duckdb("the database is a file in a folder that does not exist")
def test_an_unreachable_database(typed: Typed) -> None:
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("wh.db", "no/such/folder/wh.db"))
    ended = typed("run")
    assert ended.code == 2, output_of(ended)
    assert "no/such/folder" in ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.long
def test_a_run_stopped_by_a_change_of_its_environment(typed: Typed) -> None:
    change = ENGINE.databases(Path.cwd()).code_in_state(
        "UPDATE sqlmesh._environments SET plan_id = 'another'",
        adapter="context.engine_adapter",
        indentation=4,
    )
    Path("models/changing.py").write_text(CHANGING.replace("CHANGE", change))
    Path("models/below.sql").write_text(
        "MODEL (name shop.below, kind FULL, cron '@daily'); SELECT n FROM shop.changing"
    )
    planned = typed(
        "plan", "--auto-apply", "--no-prompts", "--skip-backfill", "--no-gaps", when=TODAY
    )
    assert planned.code == 0, output_of(planned)
    ended = typed("run", "--exit-on-env-update", "75", when=TOMORROW)
    assert ended.code == 75, output_of(ended)
    assert "environment_changed" in ended.out


def test_a_run_with_exit_on_env_update_and_no_change(typed: Typed) -> None:
    assert typed("run", "--exit-on-env-update", "75", when=TOMORROW).code == 0


@pytest.mark.parametrize(
    ("code", "complaint"),
    [("sys.exit(0)", "sys.exit(0)"), ("sys.exit(3)", "sys.exit(3)"), ("sys.exit('why')", "why")],
)
def test_a_project_that_ends_the_process(typed: Typed, code: str, complaint: str) -> None:
    # It would be a green build in which nothing happened.
    Path("models/ending.py").write_text(f"import sys\n\n{code}\n")
    ended = typed("plan", "--auto-apply")
    assert ended.code == 2, output_of(ended)
    assert complaint in ended.err


def test_a_project_that_raises_a_base_exception(typed: Typed) -> None:
    Path("models/panic.py").write_text(PANIC)
    ended = typed("plan", "--auto-apply")
    assert ended.code == 2, output_of(ended)
    assert "at once" in ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.long
@pytest.mark.processes
def test_debug_shows_the_traceback() -> None:
    """In a separate process: what SQLMesh sets up for it stays until the process ends."""
    Path("models/panic.py").write_text(PANIC)
    ran = process("plan", "--auto-apply", "--debug")
    assert ran.returncode == 2
    assert "Traceback" in ran.stderr


def test_an_explained_plan(typed: Typed) -> None:
    count_weeks_by("COUNT(*) + 1")
    ended = typed("plan", "--explain", when=TODAY)
    assert ended.code == 0, output_of(ended)
    assert "gate" not in ended.out


def test_a_run_that_selects_nothing(typed: Typed) -> None:
    ended = typed("run", "--select-model", "nothing.*", when=TOMORROW)
    assert ended.code == 2, output_of(ended)
    assert "--select-model nothing.* selects no model of environment prod" in ended.err


@pytest.mark.parametrize("word", ["--no-such-option", "--start"])
def test_wrong_usage(typed: Typed, word: str) -> None:
    ended = typed("run", word)
    assert ended.code == 2
    assert word in ended.err


def test_an_option_that_sqlmesh_does_not_know_is_named(typed: Typed) -> None:
    ended = typed("run", "prod", "--", "--no-such-option")
    assert ended.code == 2
    assert "No such option" in ended.err
    assert "--no-such-option" in ended.err


@pytest.mark.long
def test_a_run_with_an_invalid_end(typed: Typed) -> None:
    ended = typed("run", "--select-model", "shop.weekly", "--end", "no date")
    assert ended.code == 2, output_of(ended)


def test_a_failure_of_sqlmesh_outside_of_any_report() -> None:
    done = run(executed("shop.daily"))
    passed = GatePolicy().evaluate(done)
    assert exit_code(command.Ended((done,), code=1), passed, None) == 2
    assert exit_code(command.Ended((done,), code=0), passed, None) == 0

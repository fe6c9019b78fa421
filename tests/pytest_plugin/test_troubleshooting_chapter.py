"""The messages of pytest sessions that the chapter on troubleshooting quotes."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest

from tests.chapters import not_printed, quotations
from tests.projects import Project

pytestmark = pytest.mark.documents

QUOTATIONS = quotations("troubleshooting.md")
IN_A_SESSION = [
    "Nothing is tracked",
    "A model is unknown",
    "An outcome is `unknown`",
    "A new model was not executed",
    "The fixture for Dagster fails",
    "An argument of a marker is unknown",
    "No project is found",
    "The folder is not a project",
    "A template fails",
    "A gateway is rejected",
    "freezegun has frozen the clock",
    "Another clock is in effect",
    "Another thread is using a sandbox",
    "A sandbox is closed",
    "A fixture has the wrong scope",
    "Hypothesis rejects the fixture",
    "A time is in the past",
    "No run is due",
    "A fault was never triggered",
    "Rows can't be as expected",
    "A stub needs types",
    "Strict mode reports outcomes",
]
WITHOUT_THE_PLUGIN = "A fixture isn't found"
CONFIG = """
gateways:
  local: {connection: {type: duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""
SNOWFLAKE = """
gateways:
  prod: {connection: {type: snowflake, account: shop, user: me, password: secret, database: PROD}}
model_defaults: {dialect: snowflake, start: 2024-01-01}
disable_anonymized_analytics: true
"""
TESTS = """
import sys
import threading

import pytest
import time_machine
from freezegun import freeze_time
from hypothesis import given
from hypothesis.strategies import integers
from sqlmesh.core.console import NoopConsole

on_shop = pytest.mark.sqlmesh_project("shop", at="2024-01-09 12:00")


def test_nothing_is_tracked(sqlmesh_tracker):
    sqlmesh_tracker.assert_nothing_executed()


@on_shop
def test_a_typo(sqlmesh_project):
    sqlmesh_project.run(at="+1 day").assert_skipped("shop.order")


@on_shop
def test_two_threads(sqlmesh_project, sqlmesh_tracker):
    inside, done = threading.Event(), threading.Event()

    class Waiting(NoopConsole):
        def stop_evaluation_progress(self, success=True):
            inside.set()
            done.wait(20)

    context = sqlmesh_project.context
    context.console = Waiting()
    sqlmesh_project.travel("+1 day")
    first = threading.Thread(target=context.run)
    first.start()
    inside.wait(20)
    with pytest.raises(Exception, match="not found"):
        context.run("nowhere")
    done.set()
    first.join()
    print(sqlmesh_tracker.reports[0]["shop.orders"].message)
    assert False


@on_shop
def test_a_new_model(sqlmesh_project):
    model = "MODEL (name shop.new, kind FULL); SELECT 1 AS id"
    sqlmesh_project.write("models/new.sql", model)
    sqlmesh_project.run(at="+1 day").assert_executed("shop.new")


@pytest.fixture
def without_dagster(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pytest_sqlmesh_tracker.dagster")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dagster", None)


@on_shop
def test_dagster(without_dagster, materialize_sqlmesh):
    pass


@pytest.mark.sqlmesh_project("shop", att="2024-01-09")
def test_a_wrong_marker(sqlmesh_project):
    pass


def test_no_project(sqlmesh_project):
    pass


@pytest.mark.sqlmesh_project("empty")
def test_not_a_project(sqlmesh_project):
    pass


@pytest.mark.sqlmesh_project("broken", at="2024-01-09")
def test_a_template(sqlmesh_project):
    pass


@pytest.mark.sqlmesh_project("snowflake", at="2024-01-09")
def test_a_gateway(sqlmesh_project):
    pass


@on_shop
def test_frozen(sqlmesh_project):
    with freeze_time("2024-01-09"):
        sqlmesh_project.run()


@on_shop
def test_another_clock(sqlmesh_project):
    with time_machine.travel("2024-01-10"):
        sqlmesh_project.run()


@on_shop
def test_two_sandboxes_on_two_threads(sqlmesh_sandboxes):
    entered, done = threading.Event(), threading.Event()

    def wait(number: int) -> int:
        entered.set()
        return int(done.wait(20))

    with sqlmesh_sandboxes() as one, sqlmesh_sandboxes() as other:
        one.context.engine_adapter.cursor.create_function("wait", wait, ["INT"], "INT")
        thread = threading.Thread(target=one.fetch, args=("SELECT wait(1)",))
        thread.start()
        entered.wait(20)
        try:
            other.run()
        finally:
            done.set()
            thread.join()


@on_shop
def test_a_closed_sandbox(sqlmesh_sandboxes):
    with sqlmesh_sandboxes() as project:
        pass
    project.run()


@pytest.fixture(scope="module")
def wide(sqlmesh_sandboxes):
    return sqlmesh_sandboxes("shop")


def test_a_wide_fixture(wide):
    pass


@on_shop
@given(number=integers())
def test_examples(sqlmesh_sandboxes, number):
    pass


@on_shop
def test_no_run(sqlmesh_project):
    sqlmesh_project.run_until("2024-01-09", every="1 day")


@on_shop
def test_the_past(sqlmesh_project):
    sqlmesh_project.run(at="2024-01-08")


@on_shop
def test_a_fault(sqlmesh_project):
    sqlmesh_project.fail("shop.orders")


@on_shop
def test_rows(sqlmesh_project):
    sqlmesh_project.assert_rows("shop.orders", [{"id": "1"}])


@pytest.mark.sqlmesh_project("broken", at="2024-01-09", stub={"shop.orders": []})
def test_a_stub(sqlmesh_project):
    pass


@on_shop
@pytest.mark.sqlmesh_tracker(strict=True)
def test_strict(sqlmesh_project):
    sqlmesh_project.fail("shop.orders")
    sqlmesh_project.run(at="+1 day")
"""


def write(pytester: pytest.Pytester) -> None:
    shop, broken = Project(pytester.mkdir("shop")), Project(pytester.mkdir("broken"))
    snowflake = Project(pytester.mkdir("snowflake"))
    pytester.mkdir("empty")
    for project, config in ((shop, CONFIG), (broken, CONFIG), (snowflake, SNOWFLAKE)):
        project.write("config.yaml", config)
    shop.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    shop.model("shop.revenue", "SELECT id FROM shop.orders", cron="'@daily'")
    broken.model("shop.orders", "SELECT * FROM raw.orders", cron="'@daily'")
    snowflake.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    pytester.makeini("[pytest]\nfilterwarnings =\n    ignore\n    default::UserWarning")
    pytester.makepyfile(TESTS)


def test_every_message_is_printed(pytester: pytest.Pytester, planned_project: Path) -> None:  # noqa: ARG001
    write(pytester)
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(failed=12, errors=9, passed=2, warnings=1)
    printed = result.stdout.str()
    missing = {heading: not_printed(QUOTATIONS[heading], printed) for heading in IN_A_SESSION}
    assert {heading: lines for heading, lines in missing.items() if lines} == {}


@pytest.mark.processes
@pytest.mark.nightly
def test_the_message_without_the_plugin_and_the_remedy(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pytester)
    session = functools.partial(pytester.runpytest_subprocess, "-k", "wrong")
    without = session("-p", "no:sqlmesh_tracker")
    assert not_printed(QUOTATIONS[WITHOUT_THE_PLUGIN], without.stdout.str()) == []
    assert "pytest_sqlmesh_tracker" in session("--trace-config").stdout.str()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert "fixture 'sqlmesh_project' not found" in session().stdout.str()
    assert "has no argument 'att'" in session("-p", "pytest_sqlmesh_tracker.plugin").stdout.str()


def test_all_tests_can_be_tracked(pytester: pytest.Pytester, planned_project: Path) -> None:
    # Other tests need the planned project as it is.
    copy = pytester.path / "shop"
    shutil.copytree(planned_project, copy)
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace(str(planned_project), str(copy)))
    pytester.makeini("[pytest]\nfilterwarnings = ignore\nusefixtures = sqlmesh_tracker")
    pytester.makepyfile(
        f"""
        from sqlmesh import Context

        def test_it():
            Context(paths={str(copy)!r}).run()
            assert False
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.stdout.fnmatch_lines(["*sqlmesh runs*", "run prod,*"])

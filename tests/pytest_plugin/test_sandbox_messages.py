"""What a user's session shows if a project can't be planned, or a test fails because of that."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.projects import Project

pytestmark = pytest.mark.long

CONFIG = """
gateways:
  local: {connection: {type: duckdb, database: w.duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""
TEST = """
import pytest

pytestmark = pytest.mark.sqlmesh_project("shop", at="2024-01-09"%s)


def test_it(sqlmesh_project):
    %s
"""


@pytest.fixture
def shop(pytester: pytest.Pytester, planned_project: Path) -> Project:  # noqa: ARG001
    """A project below the root folder, in which one of two models reads a file of the project."""
    (pytester.path / "shop").mkdir()
    project = Project(pytester.path / "shop")
    project.write("config.yaml", CONFIG)
    project.write("data/prices.csv", "price\n7\n")
    project.model("shop.daily", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.prices", "SELECT price FROM read_csv('data/prices.csv')", cron="'@daily'")
    pytester.makeini("[pytest]\nfilterwarnings = ignore\naddopts = --strict-markers")
    return project


def session(pytester: pytest.Pytester, test: str, options: str = "") -> pytest.RunResult:
    pytester.makepyfile(TEST % (options, test))
    return pytester.runpytest_inprocess("-p", "no:xdist", "-rN")


def test_the_error_of_a_template_names_failed_models_and_their_files(
    pytester: pytest.Pytester, shop: Project
) -> None:
    result = session(pytester, "pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "sqlmesh_project: the plan of prod failed: shop.prices failed: its *IOException: *",
            f"data/prices.csv exists below {shop.path}, but relative paths start from the *",
            'plan="partial" leaves out failed models and everything downstream: 1 model *.',
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_remedies_work(pytester: pytest.Pytester, shop: Project) -> None:
    pytester.makeconftest(
        f"""
        import pytest

        @pytest.fixture(autouse=True)
        def in_the_project(monkeypatch):
            monkeypatch.chdir({str(shop.path)!r})
        """
    )
    fetch = "assert sqlmesh_project.fetch('SELECT price FROM shop.prices') == [(7,)]"
    session(pytester, fetch).assert_outcomes(passed=1)


def test_a_failing_test_mentions_a_partial_plan(
    pytester: pytest.Pytester,
    shop: Project,  # noqa: ARG001
) -> None:
    run = 'sqlmesh_project.run(at="+1 day").assert_executed("shop.daily", "shop.prices")'
    result = session(pytester, run, ', plan="partial"')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*shop.prices was not executed: it is not in the environment",
            "*sqlmesh runs*",
            'plan="partial" left out shop.prices, which failed, and everything downstream.',
        ]
    )


@pytest.mark.long
def test_a_failing_test_shows_which_database_conflicts(
    pytester: pytest.Pytester, shop: Project
) -> None:
    with duckdb.connect(str(shop.path / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE events (id INT)")
    (shop.path / "models" / "shop.prices.sql").unlink()
    test = (
        "sqlmesh_project.write('models/new.sql', 'MODEL (name shop.new, kind FULL);'\n"
        "        ' CREATE TABLE events (id INT); SELECT 1 AS id')\n"
        "    sqlmesh_project.plan().assert_executed('shop.new')"
    )
    result = session(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*sqlmesh runs*",
            f"events already exists: it comes from {shop.path / 'w.duckdb'}, which the sandbox *",
            'state="empty" starts without that file.',
        ]
    )
    session(pytester, test, ', state="empty"').assert_outcomes(passed=1)


def test_a_linter_error_is_one_message(pytester: pytest.Pytester, shop: Project) -> None:
    shop.write(
        "config.yaml", CONFIG + "linter: {enabled: true, rules: [nomissingaudits, noselectstar]}"
    )
    (shop.path / "models" / "shop.prices.sql").unlink()
    result = session(pytester, "sqlmesh_project.plan()", ", plan=False")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*LinterError: Linter detected errors in shop.daily: nomissingaudits",
            f"E*Linter errors for shop.daily, {shop.path}/models/shop.daily.sql:",
            "E*nomissingaudits: Model `audits` must be configured to test data quality.",
        ]
    )
    # The test's own line, and nothing of the way through SQLMesh.
    assert not [line for line in result.outlines if "core/context.py" in line]

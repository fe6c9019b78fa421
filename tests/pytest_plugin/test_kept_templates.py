"""Templates that outlive a user's session: the summary, the options, and xdist's workers."""

from __future__ import annotations

import pytest

from tests.postgres import installed_programs
from tests.projects import Project

CONFIG = """
gateways:
  local: {connection: {type: duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""
IN_POSTGRES = """
gateways:
  warehouse:
    connection:
      {type: postgres, host: shop.invalid, port: 5432, user: shop, password: x, database: shop}
model_defaults: {dialect: postgres, start: 2024-01-01}
disable_anonymized_analytics: true
"""
TESTS = """
import pytest

pytestmark = pytest.mark.sqlmesh_project("shop", at="2024-01-09 01:00")

def test_days(sqlmesh_project):
    sqlmesh_project.run(at="+1 day").assert_executed("shop.daily")
"""
ALONE = ("-p", "no:xdist")
BOTH_WORKERS = ("--tx", "2*popen", "--dist", "each")
REUSED = "sqlmesh: reused the plan of shop (less than a minute old)"


@pytest.fixture
def user(pytester: pytest.Pytester) -> pytest.Pytester:
    """A repository with a project in the folder `shop`, and one test."""
    (pytester.path / "shop").mkdir()
    project = Project(pytester.path / "shop")
    project.write("config.yaml", CONFIG)
    project.model("shop.daily", "SELECT 1 AS id", cron="'@daily'")
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    return pytester


@pytest.mark.long
def test_the_next_session_reuses_the_plan(user: pytest.Pytester) -> None:
    def session(*options: str) -> str:
        result = user.runpytest_inprocess(*ALONE, *options)
        result.assert_outcomes(passed=1)
        return result.stdout.str()

    assert "reused" not in session()
    assert REUSED in session()
    assert "reused" not in session("--sqlmesh-tracker-replan")
    assert REUSED in session()
    assert "reused" not in session("-o", "sqlmesh_tracker_reuse=false")
    assert "reused" not in session("-o", "sqlmesh_tracker_cache_size=0")
    assert "reused" not in session("-p", "no:cacheprovider")
    (user.path / ".pytest_cache/d/sqlmesh_tracker/templates").chmod(0o755)
    assert "reused" not in session()


@pytest.mark.long
def test_why_a_kept_template_can_not_be_restored_is_shown(user: pytest.Pytester) -> None:
    user.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)
    (file,) = user.path.glob(".pytest_cache/d/sqlmesh_tracker/templates/*/*/contents/*.pickle")
    file.write_bytes(b"")
    result = user.runpytest_inprocess(*ALONE)
    result.assert_outcomes(passed=1)
    reason = "its files are incomplete or damaged"
    result.stdout.fnmatch_lines(f"sqlmesh: the kept plan of shop could not be restored: {reason}")
    assert "reused" not in result.stdout.str()
    assert REUSED in user.runpytest_inprocess(*ALONE).stdout.str()


@pytest.mark.long
def test_why_a_template_is_not_kept_is_shown_on_request(user: pytest.Pytester) -> None:
    user.makepyfile(TESTS.replace(', at="2024-01-09 01:00"', ""))
    line = "sqlmesh: the plan of shop is not kept: it is planned as of now; set at="
    result = user.runpytest_inprocess(*ALONE, "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(line)
    assert "not kept" not in user.runpytest_inprocess(*ALONE).stdout.str()


def test_a_size_that_can_not_be_read(user: pytest.Pytester) -> None:
    result = user.runpytest_inprocess(*ALONE, "-o", "sqlmesh_tracker_cache_size=much")
    result.stdout.fnmatch_lines(
        "*sqlmesh_tracker_cache_size must be a size such as 500 MB or 2 GB, not 'much'*"
    )


@pytest.mark.processes
@pytest.mark.nightly
def test_a_long_plan_is_announced(user: pytest.Pytester) -> None:
    user.makeconftest(
        """
        from pytest_sqlmesh_tracker.pytest_plugin.templates import keeping

        keeping._LONG = 0.0
        """
    )
    result = user.runpytest_subprocess(*ALONE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("sqlmesh: planning shop as of 2024-01-09 01:00 UTC ...")


@pytest.mark.processes
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="duckdb"),
        pytest.param(IN_POSTGRES, id="postgres", marks=pytest.mark.long),
    ],
)
def test_workers_plan_a_project_once(user: pytest.Pytester, config: str) -> None:
    if config == IN_POSTGRES:
        installed_programs("machine")
    Project(user.path / "shop").write("config.yaml", config)
    result = user.runpytest_subprocess(*BOTH_WORKERS)
    result.assert_outcomes(passed=2)
    # The second worker waited for the first one's plan.
    result.stdout.fnmatch_lines(REUSED)


@pytest.mark.processes
@pytest.mark.nightly
def test_workers_share_a_failed_plan(user: pytest.Pytester) -> None:
    Project(user.path / "shop").model("shop.broken", "SELECT error('broken') AS id")
    result = user.runpytest_subprocess(*BOTH_WORKERS)
    result.assert_outcomes(errors=2)
    # Where CI is set, pytest repeats each error in its summary.
    errors = result.stdout.str().partition("short test summary info")[0]
    assert errors.count("the plan of prod failed") == 2
    assert errors.count("(as before; not retried)") == 1
    # The next session tries again.
    Project(user.path / "shop").model("shop.broken", "SELECT 1 AS id")
    user.runpytest_subprocess(*BOTH_WORKERS).assert_outcomes(passed=2)

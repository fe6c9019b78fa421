"""Sessions that use freezegun: what works, what is rejected, and that nothing stays frozen."""

from __future__ import annotations

import pytest

from tests.installed_packages import KEEP_PACKAGES
from tests.projects import Project, read_between

from .outcomes import outcomes

FROZEN = """
import datetime

from freezegun import freeze_time


@freeze_time("2024-01-20")
def test_frozen():
    assert datetime.date.today().isoformat() == "2024-01-20"
"""

WITH_PYDANTIC = """
import datetime

import pydantic


class Customer(pydantic.BaseModel):
    since: datetime.date
"""

SANDBOX = """
import datetime

import pytest
from freezegun import freeze_time

pytestmark = pytest.mark.sqlmesh_project({project!r}, at="2024-01-08 09:05")


@pytest.fixture
def freezer():
    with freeze_time("2031-01-20") as frozen:
        yield frozen


@freeze_time("2031-01-20")
def test_rejected_run(sqlmesh_project):
    sqlmesh_project.run()


def test_rejected_frozen_before(freezer, sqlmesh_project):
    sqlmesh_project.run()


def test_rejected_frozen_after(sqlmesh_project, freezer):
    sqlmesh_project.run(at="2024-01-08 09:35")


def test_all_that_is_rejected(sqlmesh_project):
    context = sqlmesh_project.context
    with freeze_time("2031-01-20"):
        for rejected in (
            lambda: sqlmesh_project.plan(),
            lambda: sqlmesh_project.travel("+1h"),
            lambda: sqlmesh_project.write("models/new.sql", ""),
            lambda: context.run(),
            lambda: context.plan(auto_apply=True),
            lambda: context.apply(None),
            lambda: context.audit("2024-01-01", "2024-01-02"),
        ):
            with pytest.raises(Exception, match="^freezegun has frozen the clock, but a sandbox"):
                rejected()
    assert not (sqlmesh_project.path / "models/new.sql").exists()
    assert sqlmesh_project.tracker.reports == []


def test_other_code_under_a_frozen_clock(sqlmesh_project):
    report = sqlmesh_project.run(at="2024-01-08 09:35")
    with freeze_time("2031-01-20"):
        assert datetime.date.today().year == 2031
        assert sqlmesh_project.now.year == 2024
        assert sqlmesh_project.fetch("SELECT 1") == [(1,)]
        report.assert_executed("web.page_views")
    sqlmesh_project.run(at="2024-01-08 10:05").assert_executed("web.sessions")


def test_real_time_is_back():
    assert datetime.date.today().year not in (2024, 2031)
"""

CONTEXT = """
import datetime

import pytest
from freezegun import freeze_time


@pytest.fixture
def freezer():
    with freeze_time("2024-01-20 01:00") as frozen:
        yield frozen


def check_times(report, shown):
    assert report.started_at.isoformat() == report.execution_time.isoformat() == shown
    took = report.finished_at - report.started_at
    assert datetime.timedelta(milliseconds=50) <= report["shop.slow"].duration <= took


def test_frozen_before(freezer, sqlmesh_tracker):
    from sqlmesh import Context

    context = Context(paths={project!r})
    context.plan(auto_apply=True, no_prompts=True)
    sqlmesh_tracker.assert_executed("shop.slow", intervals=("2024-01-01", "2024-01-20"))
    check_times(sqlmesh_tracker.last, "2024-01-20T01:00:00+00:00")
    context.close()


@freeze_time("2024-01-22")
def test_frozen_within(sqlmesh_tracker):
    from sqlmesh import Context

    context = Context(paths={project!r})
    context.run()
    sqlmesh_tracker.assert_executed("shop.slow", intervals=("2024-01-20", "2024-01-22"))
    check_times(sqlmesh_tracker.last, "2024-01-22T00:00:00+00:00")
    context.close()


def test_nothing_stays_frozen():
    import sys

    import pydantic
    from pytest_sqlmesh_tracker import GatePolicy

    class Order(pydantic.BaseModel):
        day: datetime.date

    until = Order(day="2030-01-01").day
    GatePolicy(rules=[{{"models": "a.*", "allow": ["signal_not_ready"], "until": until}}])
    fakes = [
        f"{{name}}.{{attribute}}"
        for name, module in list(sys.modules.items())
        if not name.startswith("freezegun")
        for attribute, value in list(vars(module).items())
        if getattr(value, "__module__", None) == "freezegun.api" and value is not freeze_time
    ]
    assert fakes == []
"""

SLOW_MODEL = """
import time

import pandas as pd
from sqlmesh import model
from sqlmesh.core.model.kind import ModelKindName


@model(
    "shop.slow",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "ts"},
    cron="@daily",
    start="2024-01-01",
    columns={"ts": "timestamp"},
)
def slow(context, start, end, execution_time, **kwargs):
    time.sleep(0.05)
    return pd.DataFrame({"ts": [pd.Timestamp(start).tz_localize(None)]})
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.plugins = ["pytest_sqlmesh_tracker.plugin"]
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    return pytester


@pytest.mark.parametrize("imported", ["", WITH_PYDANTIC], ids=["", "pydantic"])
def test_a_session_that_does_not_use_the_plugin(session: pytest.Pytester, imported: str) -> None:
    session.makepyfile(
        f"{imported}\n{FROZEN}"
        """

def test_time_is_back():
    assert datetime.date.today().year > 2024


def test_nothing_was_imported():
    import sys

    assert not {"sqlmesh", "sqlglot", "dagster", "pandas", "duckdb"} & sys.modules.keys()


def test_pydantic_afterwards():
    import pydantic

    class Order(pydantic.BaseModel):
        day: datetime.date

    assert Order(day="2024-02-03").day == datetime.date(2024, 2, 3)


def test_the_product_afterwards():
    from pytest_sqlmesh_tracker import GatePolicy

    until = datetime.date(2030, 1, 1)
    GatePolicy(rules=[{"models": "a.*", "allow": ["signal_not_ready"], "until": until}])
"""
    )
    session.runpytest_subprocess().assert_outcomes(passed=5)


@pytest.mark.processes
def test_contexts_and_sandboxes_under_a_frozen_clock(
    session: pytest.Pytester, project: Project
) -> None:
    """One session has contexts that its tests make, and sandboxes of another project."""
    project.write("models/slow.py", SLOW_MODEL)
    web = Project(session.mkdir("web"))
    views = "SELECT range AS ts, 1 AS amount FROM range(@start_dt, @end_dt, INTERVAL 30 MINUTE)"
    web.incremental("web.page_views", views, cron="'*/30 * * * *'", start="'2024-01-08'")
    web.incremental(
        "web.sessions", read_between("web.page_views"), cron="'@hourly'", start="'2024-01-08'"
    )
    session.makepyfile(
        test_context=CONTEXT.format(project=str(project.path)),
        test_sandbox=SANDBOX.format(project=str(web.path)),
    )
    session.makeconftest(KEEP_PACKAGES)
    result = session.runpytest_subprocess("-v")
    result.assert_outcomes(passed=6, failed=2, errors=1)
    assert outcomes(result) == {
        "test_context.py::test_frozen_before": {"PASSED"},
        "test_context.py::test_frozen_within": {"PASSED"},
        "test_context.py::test_nothing_stays_frozen": {"PASSED"},
        "test_sandbox.py::test_rejected_run": {"FAILED"},
        "test_sandbox.py::test_rejected_frozen_before": {"ERROR"},
        "test_sandbox.py::test_rejected_frozen_after": {"FAILED"},
        "test_sandbox.py::test_all_that_is_rejected": {"PASSED"},
        "test_sandbox.py::test_other_code_under_a_frozen_clock": {"PASSED"},
        "test_sandbox.py::test_real_time_is_back": {"PASSED"},
    }
    rejection = "freezegun has frozen the clock, but a sandbox needs its own clock*run(at='*"
    result.stdout.fnmatch_lines(
        [
            f"sqlmesh_project: {rejection}",
            f"E*SandboxError: {rejection}",
            f"E*SandboxError: {rejection}",
        ]
    )


@pytest.mark.long
@pytest.mark.processes
def test_fixtures_first_requested_under_a_frozen_clock(session: pytest.Pytester) -> None:
    session.makepyfile(
        f"{FROZEN}"
        """

@freeze_time("2024-01-20")
def test_requested(request):
    request.getfixturevalue("sqlmesh_tracker")


def test_afterwards(sqlmesh_tracker):
    assert sqlmesh_tracker.reports == []
"""
    )
    (session.path / "conftest.py").write_text(
        "import freezegun\n\nfrozen = freezegun.freeze_time('2024-01-20')\nfrozen.start()\n"
        "def pytest_runtest_logfinish():\n    if freezegun.api.freeze_factories:\n"
        "        frozen.stop()\n"
    )
    result = session.runpytest_subprocess()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines("sqlmesh_tracker: pandas can't be imported for the first time*")

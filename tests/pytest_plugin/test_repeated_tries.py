"""Repeated tests: the last try counts, and invocations of earlier tries are superseded."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json

from .shops import write_reported_shop, write_shop

ALONE = ("-p", "no:xdist")
EVERYWHERE = pytest.mark.parametrize("workers", [ALONE, ("-n", "2")], ids=["alone", "workers"])
TRIES = """
import pytest
from pathlib import Path


@pytest.fixture
def number(request):
    '''Which try it is, from 1: in a file, as another process may make the next one.'''
    file = Path(request.config.rootpath, f"{request.node.name}.tries")
    number = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("." * number)
    return number
"""


@pytest.fixture
def reported_shop(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with the fixtures `night`, without a project, and `number`."""
    write_reported_shop(pytester)
    conftest = pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + TRIES)
    return pytester


def session(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        "--sqlmesh-tracker-report=all.json", "--junitxml=all.xml", *options
    )


def reports_in(pytester: pytest.Pytester) -> list[Entry]:
    return entries_from_json((pytester.path / "all.json").read_text(encoding="utf-8"))


def tries_in(pytester: pytest.Pytester) -> list[tuple[str, bool]]:
    """For each report in the file: the test's name and whether the try was repeated."""
    return [(str(test).partition("::")[2], r.superseded) for test, r in reports_in(pytester)]


@EVERYWHERE
@pytest.mark.processes
def test_the_last_try_counts_in_the_terminal_in_files_and_as_junit_properties(
    reported_shop: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    reported_shop.makepyfile(
        """
        import pytest

        @pytest.mark.flaky(reruns=3)
        def test_third_time(night, number):
            assert number == 3

        @pytest.mark.flaky(reruns=1)
        def test_never(night):
            assert False

        def test_at_once(night):
            pass

        @pytest.mark.flaky(reruns=1)
        def test_with_a_property_of_its_own(night, number, record_property):
            record_property("sqlmesh_version", number)
            assert number == 2
        """
    )
    result = session(reported_shop, "-v", *workers)
    assert result.parseoutcomes() == {"passed": 3, "failed": 1, "rerun": 4}
    result.stdout.fnmatch_lines(
        "sqlmesh: 4 invocations in 4 tests: 4 failed, 4 skipped; "
        "left out: 4 invocations superseded by reruns"
    )
    assert tries_in(reported_shop) == [
        ("test_at_once", False),
        ("test_never", True),
        ("test_never", False),
        ("test_third_time", True),
        ("test_third_time", True),
        ("test_third_time", False),
        ("test_with_a_property_of_its_own", True),
        ("test_with_a_property_of_its_own", False),
    ]
    tables = str(result.stdout).partition("= sqlmesh runs =")[2]
    assert tables.count("shop.orders raised") == 4
    # Newer versions of pytest-rerunfailures make an entry for each try.
    *earlier, last = properties_in(
        reported_shop.path / "all.xml", "test_with_a_property_of_its_own"
    )
    assert earlier in ([], [{"sqlmesh_version": "1"}])
    assert last == {
        "sqlmesh_version": "2",
        "sqlmesh_invocations": "1",
        "sqlmesh_repeated_tries": "1",
        "sqlmesh_failed": "shop.orders (error)",
        "sqlmesh_skipped": "shop.revenue (upstream_failed)",
    }


def properties_in(file: Path, test: str) -> list[dict[str | None, str | None]]:
    """The properties of each entry of a test in a JUnit XML file."""
    return [
        {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ElementTree.parse(file).iter("testcase")
        if case.get("name") == test
    ]


def test_a_try_with_a_failed_setup_counts_as_a_try(reported_shop: pytest.Pytester) -> None:
    reported_shop.makepyfile(
        """
        import pytest

        @pytest.fixture
        def source(night, number):
            assert number == 2

        @pytest.mark.flaky(reruns=1)
        def test_fails_after_its_invocation(source):
            pass

        @pytest.fixture
        def breaks_later(number):
            assert number == 1

        @pytest.mark.flaky(reruns=1)
        def test_last_try_invokes_nothing(breaks_later, night):
            assert False
        """
    )
    result = session(reported_shop, *ALONE)
    assert result.parseoutcomes() == {"passed": 1, "errors": 1, "rerun": 2}
    assert tries_in(reported_shop) == [
        ("test_fails_after_its_invocation", True),
        ("test_fails_after_its_invocation", False),
        ("test_last_try_invokes_nothing", True),
    ]
    result.stdout.fnmatch_lines("sqlmesh: 1 invocation in 1 test: 1 failed, 1 skipped; left out: *")


@pytest.mark.processes
@pytest.mark.nightly
def test_another_worker_repeats_the_test_of_a_crashed_worker(
    reported_shop: pytest.Pytester,
) -> None:
    reported_shop.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.flaky(reruns=3)
        def test_it(night, number):
            if number == 2:
                os._exit(1)
            assert number == 3
        """
    )
    result = session(reported_shop, "-n", "1")
    assert result.parseoutcomes()["passed"] == 1
    assert tries_in(reported_shop) == [("test_it", True), ("test_it", False)]


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        (*ALONE, "test_it.py", "test_it.py", "--keep-duplicates"),
        ("-n", "2", "--dist", "each"),
    ],
    ids=["keep-duplicates", "each"],
)
@pytest.mark.processes
def test_a_test_collected_twice_is_not_a_repeated_test(
    reported_shop: pytest.Pytester, options: tuple[str, ...]
) -> None:
    reported_shop.makepyfile(test_it="def test_it(night):\n    pass")
    session(reported_shop, *options).assert_outcomes(passed=2)
    assert tries_in(reported_shop) == [("test_it", False)] * 2


STRICT = """
import pytest

pytestmark = [
    pytest.mark.sqlmesh_project(at="2024-01-09"),
    pytest.mark.sqlmesh_tracker(strict=True),
    pytest.mark.flaky(reruns=1),
]
tries = []

def test_only_the_first_try_leaves_a_failure_unasserted(sqlmesh_project):
    tries.append("first")
    if tries.count("first") == 1:
        sqlmesh_project.fail("shop.orders")
    sqlmesh_project.run(at="2024-01-10")

def test_each_try_leaves_a_failure_unasserted(sqlmesh_project):
    sqlmesh_project.fail("shop.orders")
    sqlmesh_project.run(at="2024-01-10")

def test_only_the_last_try_leaves_a_failure_unasserted(sqlmesh_project):
    tries.append("last")
    if tries.count("last") == 2:
        sqlmesh_project.fail("shop.orders")
    sqlmesh_project.run(at="2024-01-10")
    assert tries.count("last") == 2

def test_the_first_try_fails_by_itself(sqlmesh_project):
    tries.append("itself")
    if tries.count("itself") == 1:
        sqlmesh_project.fail("shop.orders")
    sqlmesh_project.run(at="2024-01-10").assert_executed("shop.*")
"""


@pytest.mark.long
def test_strict_mode_judges_the_last_try(
    pytester: pytest.Pytester,
    planned_project: Path,  # noqa: ARG001
) -> None:
    write_shop(pytester)
    pytester.makepyfile(STRICT)
    result = session(pytester, *ALONE, "-rN")
    outcomes = result.parseoutcomes()
    assert (outcomes["errors"], outcomes["rerun"]) == (2, 4)
    assert re.findall(r"ERROR at teardown of (\w+)", str(result.stdout)) == [
        "test_each_try_leaves_a_failure_unasserted",
        "test_only_the_last_try_leaves_a_failure_unasserted",
    ]
    result.stdout.fnmatch_lines(
        "sqlmesh: 4 invocations in 4 tests: 4 executed, 2 failed, 2 skipped; "
        "left out: 4 invocations superseded by reruns"
    )


def test_an_error_of_strict_mode_causes_a_rerun_like_any_error_at_teardown(
    reported_shop: pytest.Pytester,
) -> None:
    reported_shop.makepyfile(test_it="def test_it(night):\n    pass")
    options = (*ALONE, "--sqlmesh-tracker-strict", "--reruns=1", "--only-rerun")
    result = session(reported_shop, *options, "AssertionError")
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result = session(reported_shop, *options, "sqlmesh_tracker strict")
    # pytest-rerunfailures counts the call that passed in each try.
    assert result.parseoutcomes() == {"passed": 2, "rerun": 1, "errors": 1}
    assert tries_in(reported_shop) == [("test_it", True), ("test_it", False)]


def test_the_policy_is_checked_only_against_last_tries(reported_shop: pytest.Pytester) -> None:
    reported_shop.makepyprojecttoml(
        """
        [[tool.sqlmesh_tracker.gate.rules]]
        models = "shop.orders"
        allow = "failed"
        """
    )
    reported_shop.makepyfile(
        """
        import pytest
        from types import SimpleNamespace
        from tests.builders import executed, run

        @pytest.mark.flaky(reruns=1)
        def test_it(sqlmesh_tracker, number, request):
            if number == 1:
                request.getfixturevalue("night")
                assert False
            report = run(executed("shop.revenue"))
            sqlmesh_tracker._tracked.append(SimpleNamespace(report=report))
        """
    )
    result = session(reported_shop, *ALONE, "--sqlmesh-tracker-strict", ".")
    result.stdout.fnmatch_lines(
        "rule 1 (shop.orders): no model 'shop.orders' in the reports; did you mean shop.revenue?"
    )


REPEATING = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    '''As flaky: of a try that is repeated, only the teardown is reported.'''
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if last or report.when == "teardown":
                item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
RERUNNING = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    '''As earlier versions of pytest-rerunfailures: but for the teardown, all is reported.'''
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if last or report.when != "teardown":
                report.outcome = report.outcome if last else "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
RETRYING = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    '''As pytest-retry: further tries have no reports of their own until the last teardown.'''
    report = yield
    if report.failed and report.when == "call":
        report.outcome = "retried"
        item.ihook.pytest_runtest_logreport(report=report)
        while report.outcome != "passed":
            item.ihook.pytest_runtest_teardown(item=item, nextitem=None)
            item._initrequest()
            item.ihook.pytest_runtest_setup(item=item)
            hook = item.ihook.pytest_runtest_call
            call = pytest.CallInfo.from_call(lambda: hook(item=item), when="call")
            report.outcome, report.longrepr = "failed" if call.excinfo else "passed", None
    return report
"""


@pytest.mark.parametrize(
    ("plugin", "tries"),
    [(REPEATING, 2), (RERUNNING, 2), (RETRYING, 3)],
    ids=["flaky", "rerunfailures", "pytest-retry"],
)
def test_tries_of_other_plugins_with_fewer_phases_are_counted(
    reported_shop: pytest.Pytester, plugin: str, tries: int
) -> None:
    (reported_shop.path / "repeating.py").write_text(plugin)
    reported_shop.syspathinsert()
    reported_shop.makepyfile(test_it=f"def test_it(night, number):\n    assert number == {tries}")
    result = session(reported_shop, *ALONE, "-p", "repeating")
    result.assert_outcomes(passed=1)
    assert tries_in(reported_shop) == [("test_it", True)] * (tries - 1) + [("test_it", False)]
    last = properties_in(reported_shop.path / "all.xml", "test_it")[-1]
    assert last["sqlmesh_repeated_tries"] == str(tries - 1)
    # The last try is judged as well.
    next(reported_shop.path.glob("*.tries")).unlink()
    result = session(reported_shop, *ALONE, "-p", "repeating", "--sqlmesh-tracker-strict")
    result.stdout.fnmatch_lines("*ERROR at teardown of test_it*")

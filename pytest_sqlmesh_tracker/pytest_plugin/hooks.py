"""The hooks of the plugin around each test and at the beginning of the session."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from datetime import datetime, timezone

import pytest

from .configuration import (
    DESELECTED,
    RETURNED,
    STARTED,
    STRICT,
    TODAY,
    TRIES,
    is_worker,
    strict_test,
)
from .settings import add_options, setting
from .summary import SECTION, Session, tables_of
from .templates.uses import USES, hand_over
from .tries import HandedOver, place_of

_MARKERS = (
    'sqlmesh_project(path=None, *, gateway=None, at=None, environment="prod", variables=None, '
    'plan=True, setup=None, state="fresh", tick=True, select=None, stub=None, arrivals=None): set '
    "the SQLMesh project that the fixture sqlmesh_project copies, and how it is planned",
    "sqlmesh_tracker(strict=None, allow_skips=None): set whether unexpected outcomes that the "
    "test does not assert are errors, and which skips are expected, as a mapping of globs to "
    "reasons",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register options, and the keys of the ini file that mirror them."""
    add_options(parser)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first tracked test, import what it needs and reject an unreadable policy."""
    tracked = [i for i in session.items if "sqlmesh_tracker" in getattr(i, "fixturenames", ())]
    if tracked and not session.config.option.collectonly:
        from .first_imports import import_for_tracked_tests

        import_for_tracked_tests()
    # xdist workers can't reject a policy: there, it is the error of each of these tests.
    if not is_worker(session.config):
        _reject_unreadable_policy(tracked)


def _reject_unreadable_policy(items: Sequence[pytest.Item]) -> None:
    """Read the policy if any of the tests is strict.

    Raises:
        UsageError: the policy is not valid.
    """
    for item in items:
        # An invalid marker is the error of its own test.
        with suppress(ValueError):
            strict_test(item)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that not all tests run."""
    for item in items[:1]:
        item.config.stash[DESELECTED] = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin the next try of a tracked test that is set up again, whichever plugin repeats it."""
    item.config.stash[RETURNED].clear()
    if TRIES in item.stash:
        item.stash[TRIES].begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a test passed: pytest-retry makes no report for the tries that it adds."""
    result = yield
    if TRIES in item.stash:
        item.stash[TRIES].current.passed = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """In strict mode, raise an error after the teardown for what a passed test left unasserted."""
    result = yield
    tried = item.stash[TRIES].current if TRIES in item.stash else None
    if tried and tried.strict and tried.passed:
        returned = item.config.stash[RETURNED]
        complaint = tried.strict.complaint(tried.reports, unraised=returned)
        if complaint:
            pytest.fail(complaint, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the invocations of a failing test, and hand those of every test to the session."""
    report = yield
    if TRIES not in item.stash:
        return report
    tries = item.stash[TRIES]
    tried = tries.current
    if report.when == "call" and not report.passed:
        tried.passed = False
    if report.failed and tried.reports:
        hints = dict.fromkeys(hint for hints_on in tried.hints for hint in hints_on(tried.reports))
        shown = "\n\n".join([tables_of(tried.reports, item.config), *hints])
        report.sections.append((SECTION, shown))
    HandedOver(
        tries=tries.hand_over(),
        item=place_of(item),
        ended_strictly=report.when == "teardown" and tried.strict is not None,
        deselected=item.config.stash.get(DESELECTED, False),
    ).attach_to(report)
    if report.when == "teardown":
        if item.config.getoption("xmlpath", None):
            from pytest_sqlmesh_tracker.render.junit import properties

            report.user_properties += properties(tried.reports, tried.number - 1)
        tries.end()
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and collect reports in the process that writes the summary."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        config.stash[STRICT] = setting(config, "strict")
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"sqlmesh_tracker_strict: {error}") from None
    config.stash[RETURNED] = []
    # The real date: a test may freeze the clock at another one.
    config.stash[TODAY] = datetime.now(timezone.utc).date()
    config.stash[STARTED] = time.time()
    config.stash[USES] = []
    if not is_worker(config):
        config.pluginmanager.register(Session(config), "sqlmesh_tracker_session")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of xdist, hand over how templates were made."""
    hand_over(session.config)

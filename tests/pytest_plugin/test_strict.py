"""Strict mode in a user's session: errors, settings, and what is reported only once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.reports import observers

from .shops import write_ini, write_reported_shop, write_shop

STRICT = "sqlmesh_tracker_strict = true"


@pytest.fixture
def shop(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with a project, and the fixture `night`."""
    write_shop(pytester)
    return pytester


@pytest.fixture
def reported_shop(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with the fixture `night`, without a project."""
    write_reported_shop(pytester)
    return pytester


def write_policy(pytester: pytest.Pytester, *rules: str) -> None:
    tables = (f"[[tool.sqlmesh_tracker.gate.rules]]\n{rule}" for rule in rules)
    (pytester.path / "pyproject.toml").write_text("\n".join(tables).replace("; ", "\n"))


def errors(result: pytest.RunResult) -> list[str]:
    """The tests that are in error at teardown."""
    names = re.findall(r"^_+ ERROR at teardown of (\S+) _+$", str(result.stdout), re.MULTILINE)
    return [str(name) for name in names]


CASES = """
import pytest
from pytest_sqlmesh_tracker import assert_failed, assert_not_executed, track_all

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-09")


@pytest.fixture(scope="module", autouse=True)
def of_all_tests():
    with track_all() as tracker:
        yield tracker

@pytest.fixture
def asserts_at_teardown(sqlmesh_tracker):
    yield
    sqlmesh_tracker.assert_not_executed("shop.*")

def test_good_functions(night):
    assert_failed(night, "shop.orders")
    night.assert_skipped("shop.revenue", reason="upstream_failed")

def test_good_tracker(night, sqlmesh_tracker):
    assert_not_executed(sqlmesh_tracker, "shop.*")

def test_good_tracker_of_a_wider_scope(night, of_all_tests):
    of_all_tests.assert_nothing_executed()

def test_good_tracker_of_the_project(night, sqlmesh_project):
    expected = {"shop.orders": "failed", "shop.revenue": "skipped"}
    sqlmesh_project.tracker.assert_outcomes(expected, exact=True)

def test_good_assertion_at_teardown(night, asserts_at_teardown):
    pass

def test_good_nothing_unexpected(sqlmesh_project):
    sqlmesh_project.run(at="2024-01-10")
    sqlmesh_project.run(at="2024-01-10 01:00")

def test_good_what_raised_was_caught(sqlmesh_project):
    with pytest.raises(Exception):
        sqlmesh_project.run("nowhere")

def test_good_failure_that_the_test_caught(sqlmesh_project):
    sqlmesh_project.fail("shop.orders")
    with pytest.raises(Exception, match="Plan application failed"):
        sqlmesh_project.context.plan(
            "prod", restate_models=["shop.orders"], auto_apply=True, no_prompts=True
        )

@pytest.mark.sqlmesh_tracker(allow_skips={"shop.*": ["upstream_failed", "signal_not_ready"]})
def test_good_allowed(night):
    night.assert_failed("shop.orders")

def test_bad_comparison(night):
    assert night.skipped == {"shop.revenue"}

def test_bad_failure_that_the_sandbox_caught(sqlmesh_project):
    sqlmesh_project.fail("shop.orders")
    assert sqlmesh_project.plan(restate_models=["shop.orders"], at="2024-01-10").error

def test_bad_assertion_that_failed(night):
    with pytest.raises(AssertionError):
        night.assert_failed("shop.*")

def test_bad_assertion_on_another_report(night, sqlmesh_project):
    sqlmesh_project.run(at="2024-01-11")
    night.assert_not_executed("shop.*")
"""


@pytest.mark.long
def test_unasserted_outcomes_of_a_passed_test_are_an_error_at_teardown(
    shop: pytest.Pytester,
) -> None:
    shop.makepyfile(CASES)
    result = shop.runpytest_inprocess("-p", "no:xdist", "--sqlmesh-tracker-strict", "-rN")
    result.assert_outcomes(passed=13, errors=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert errors(result) == [
        "test_bad_comparison",
        "test_bad_failure_that_the_sandbox_caught",
        "test_bad_assertion_that_failed",
        "test_bad_assertion_on_another_report",
    ]
    assert observers._OBSERVERS == []
    first = next(n for n, line in enumerate(result.outlines) if "of test_bad_comparison" in line)
    assert result.outlines[first + 1 : first + 13] == [
        "sqlmesh_tracker strict: 2 unexpected outcomes that the test did not assert",
        "",
        "run of prod at 2024-01-10 00:00 UTC",
        "  shop.orders failed: its evaluation raised InjectedError: the till is closed",
        "  shop.revenue was skipped: an upstream model failed (shop.orders)",
        "",
        "Assert each by name:",
        '  assert_failed("shop.orders")',
        '  assert_skipped("shop.revenue", reason="upstream_failed")',
        "or allow skips, with the marker or a rule of the gate policy:",
        '  sqlmesh_tracker(allow_skips={"shop.revenue": "upstream_failed"})',
        "Comparisons such as report.skipped == {...} do not count.",
    ]


MARKERS = """
import pytest

strict = pytest.mark.sqlmesh_tracker(strict=True)
lenient = pytest.mark.sqlmesh_tracker(strict=False, allow_skips={"shop.*": "upstream_failed"})

def test_unmarked(night):
    pass

@strict
class TestStrict:
    def test_class(self, night):
        pass

    @lenient
    def test_excepted(self, night):
        pass

@lenient
class TestLenient:
    @pytest.mark.sqlmesh_tracker(True, None)
    def test_strict_with_the_skips_of_the_class(self, night):
        night.assert_failed("shop.orders")

    @pytest.mark.sqlmesh_tracker(strict=True, allow_skips={"shop.*": "ended"})
    def test_strict_with_others(self, night):
        night.assert_failed("shop.orders")

def test_failing(night):
    assert False

@pytest.mark.xfail
def test_xfailing(night):
    assert False

@pytest.fixture
def broken():
    yield
    raise RuntimeError("at teardown")

@strict
def test_error_at_teardown(night, broken):
    pass

@pytest.mark.sqlmesh_tracker(strict=True, allow_skips={"shop.revenu": "upstream_failed"})
def test_typo(night):
    night.assert_not_executed("shop.*")
"""


@pytest.mark.parametrize("everywhere", [False, True], ids=["marked tests", "ini"])
def test_the_closest_marker_takes_precedence_over_the_ini_file(
    reported_shop: pytest.Pytester, everywhere: bool
) -> None:
    write_ini(reported_shop, STRICT if everywhere else "")
    reported_shop.makepyfile(MARKERS)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "-rN")
    result.assert_outcomes(passed=7, failed=1, xfailed=1, errors=4 + everywhere)
    assert errors(result) == [
        *(["test_unmarked"] if everywhere else []),
        "TestStrict.test_class",
        "TestLenient.test_strict_with_others",
        "test_error_at_teardown",
        "test_typo",
    ]
    # What went wrong at the teardown is reported alone.
    assert str(result.stdout).count("unexpected outcome") == 2 + everywhere
    result.stdout.fnmatch_lines(
        "sqlmesh_tracker strict: allow_skips: no model 'shop.revenu' in the reports; did you mean*"
    )


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        (
            "(strct=True)",
            "the marker sqlmesh_tracker has no argument 'strct': did you mean strict?",
        ),
        ("(strict='no')", "strict must be True or False, not 'no'"),
        (
            "(True, {}, 1)",
            "the marker sqlmesh_tracker takes two positional arguments: strict, allow*",
        ),
        ("(allow_skips={'a': 'ende'})", "allow_skips={'a': 'ende'}: 'ende' is not a reason; did*"),
    ],
)
def test_an_invalid_marker_is_a_one_line_error(
    pytester: pytest.Pytester, marker: str, complaint: str
) -> None:
    mark = f"import pytest\n\n@pytest.mark.sqlmesh_tracker{marker}\n"
    pytester.makepyfile(f"{mark}def test_it(sqlmesh_tracker):\n    pass")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(f"sqlmesh_tracker: {complaint}")
    result.stdout.no_fnmatch_line("E  *")


def test_an_invalid_ini_value_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsqlmesh_tracker_strict = perhaps")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: sqlmesh_tracker_strict: invalid truth value 'perhaps'")


UNREADABLE = 'models = "shop.*"; alow = ["ended"]'
TWO_TESTS = """
def test_tracked(sqlmesh_tracker):
    pass

def test_untracked():
    pass
"""


def test_an_unreadable_policy_is_a_usage_error(reported_shop: pytest.Pytester) -> None:
    write_policy(reported_shop, UNREADABLE)
    reported_shop.makepyfile(TWO_TESTS)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "--sqlmesh-tracker-strict")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    complaint = "ERROR: *pyproject.toml: rule 1: unknown key 'alow'; did you mean allow?"
    result.stderr.fnmatch_lines(complaint)
    result.stdout.no_fnmatch_line("*test_tracked*")


@pytest.mark.long
def test_an_unreadable_policy_is_an_error_of_each_strict_test_in_workers(
    reported_shop: pytest.Pytester,
) -> None:
    write_policy(reported_shop, UNREADABLE)
    reported_shop.makepyfile(TWO_TESTS)
    result = reported_shop.runpytest_inprocess("-n", "1", "--sqlmesh-tracker-strict")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("sqlmesh_tracker: *: rule 1: unknown key 'alow'; did you mean*")


@pytest.mark.parametrize("options", [[], ["--sqlmesh-tracker-strict", "-k", "untracked"]])
def test_a_session_without_strict_tests_does_not_read_the_policy(
    reported_shop: pytest.Pytester, options: list[str]
) -> None:
    write_policy(reported_shop, UNREADABLE)
    reported_shop.makepyfile(TWO_TESTS)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", *options)
    assert result.ret == pytest.ExitCode.OK


UNDER_ANOTHER_CLOCK = """
import pytest
import time_machine

@pytest.fixture(scope="module", autouse=True)
def clock():
    with time_machine.travel("2024-01-09", tick=True):
        yield

def test_it(night):
    pass
"""


def test_rules_expire_by_the_real_date(reported_shop: pytest.Pytester) -> None:
    write_policy(
        reported_shop,
        'models = "shop.revenue"; allow = ["upstream_failed"]; until = 2999-12-31',
        'models = "shop.orders"; allow = ["failed"]; until = 2024-02-01',
    )
    reported_shop.makepyfile(UNDER_ANOTHER_CLOCK)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "--sqlmesh-tracker-strict")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "sqlmesh_tracker strict: 1 unexpected outcome that the test did not assert",
            "  shop.orders failed*",
            "*= sqlmesh gate policy =*",
            "rule 2 (shop.orders): expired after 2024-02-01",
        ]
    )


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], [1, 2]),
        (["."], [1, 2]),
        (["-k", "asserted"], [1]),
        (["test_shop.py"], [1]),
        (["--lf"], [1]),
        (["-x"], [1]),
        (["-k", "untracked"], []),
    ],
)
def test_mistakes_in_rules_are_reported_once(
    reported_shop: pytest.Pytester, options: list[str], shown: list[int]
) -> None:
    write_policy(
        reported_shop,
        'models = "shop.*"; allow = ["ended"]; until = 2024-01-01',
        'models = "shpo.*"; allow = ["ended"]; why = "of next year"',
        'models = "shop.revenue"; require = "executed"',
    )
    write_ini(reported_shop, STRICT)
    reported_shop.makepyfile(
        test_shop="""
        def test_asserted(night):
            night.assert_nothing_executed()

        def test_untracked():
            pass

        def test_unasserted(night):
            pass
        """
    )
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", *options)
    lines = {
        1: "rule 1 (shop.*): expired after 2024-01-01",
        2: "rule 2 (shpo.*, of next year): no model matches 'shpo.*' in the reports; it has "
        "shop.orders, shop.revenue",
    }
    assert [line for line in result.outlines if "rule " in line[:5]] == [lines[n] for n in shown]


def test_mistakes_in_rules_do_not_change_the_exit_status(reported_shop: pytest.Pytester) -> None:
    write_policy(reported_shop, 'models = "shop.*"; allow = ["ended"]; until = 2024-01-01')
    reported_shop.makepyfile("def test_it(night):\n    night.assert_nothing_executed()")
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "--sqlmesh-tracker-strict")
    result.stdout.fnmatch_lines("rule 1 (shop.[*]): expired after 2024-01-01")
    assert result.ret == pytest.ExitCode.OK


HEAVY = ("sqlmesh", "sqlglot", "dagster", "pandas", "pydantic", "rich", "duckdb")


@pytest.mark.long
def test_a_strict_session_without_tracked_tests_imports_nothing_heavy(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini(f"[pytest]\n{STRICT}")
    pytester.makepyfile(
        f"""
        import sys

        def test_it():
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
        """
    )
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)


def test_marker_and_options_are_in_pytests_help(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines("@pytest.mark.sqlmesh_tracker(strict=None, allow_skips=None): *")
    result = pytester.runpytest_inprocess("--help")
    for option in ("--sqlmesh-tracker-strict", "--sqlmesh-tracker-report=PATH"):
        result.stdout.fnmatch_lines(f"*{option}*")


UNDER_A_CLOCK = """
import pytest
import time_machine
from sqlmesh import Context

@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "config.yaml").write_text(
        "gateways: {local: {connection: {type: duckdb}}}\\n"
        "model_defaults: {dialect: duckdb}\\ndisable_anonymized_analytics: true\\n"
    )
    (tmp_path / "models" / "a.sql").write_text(
        "MODEL (name s.a, kind FULL, cron '@daily', start '1 week ago'); SELECT 1 AS x"
    )
    return str(tmp_path)

@time_machine.travel("2023-01-08 15:00:00+00:00")
def test_read_after_its_clock(folder, sqlmesh_tracker):
    Context(paths=folder).plan("prod", no_prompts=True)

@time_machine.travel("2023-01-08 15:00:00+00:00")
def test_read_under_its_clock(folder, sqlmesh_tracker):
    Context(paths=folder).plan("prod", no_prompts=True)
    sqlmesh_tracker.reports
"""


def test_a_test_is_judged_by_its_own_time_after_its_clock_has_ended(
    pytester: pytest.Pytester,
) -> None:
    """The start of its model is relative: by the session's clock, it would be still to come."""
    write_ini(pytester, STRICT)
    pytester.makepyfile(test_clock=UNDER_A_CLOCK)
    result = pytester.runpytest_inprocess()
    assert errors(result) == ["test_read_after_its_clock", "test_read_under_its_clock"]
    # In CI, pytest repeats whole messages in its short summary.
    failures, _, _ = str(result.stdout).partition("short test summary info")
    assert failures.count("s.a was skipped: the plan was not applied") == 2

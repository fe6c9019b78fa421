"""The plugin in a user's session: fixture, sections on failing tests, summary, workers."""

from __future__ import annotations

import pytest

PASSING = """
    from pytest_sqlmesh_tracker import assert_executed, assert_skipped

    def test_daily(context, sqlmesh_tracker):
        context.run()
        assert_executed(sqlmesh_tracker, "shop.daily")
        assert_skipped(sqlmesh_tracker, "shop.weekly", reason="cron_not_due")
"""
FAILING = """
    def test_weekly(context, sqlmesh_tracker):
        context.run()
        sqlmesh_tracker.assert_executed("shop.weekly")
"""


def test_the_fixture_tracks_every_context_of_the_test(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        """
        from sqlmesh import Context

        def test_two_contexts(context, sqlmesh_tracker, tmp_path):
            context.run()
            Context(paths=str(tmp_path / "project")).run()
            assert [report.completion for report in sqlmesh_tracker.reports] == [
                "success", "nothing_to_do"
            ]
            assert sqlmesh_tracker.reports[0].executed == {"shop.daily"}
        """
    )
    repository.runpytest_inprocess("-p", "no:xdist").assert_outcomes(passed=1)


def test_usefixtures_is_enough_to_count_a_test(repository: pytest.Pytester) -> None:
    repository.makeini("[pytest]\nfilterwarnings = ignore\nusefixtures = sqlmesh_tracker")
    repository.makepyfile("def test_it(context):\n    context.run()")
    result = repository.runpytest_inprocess()
    result.stdout.fnmatch_lines("sqlmesh: 1 invocation in 1 test: 1 executed, 1 skipped")


def test_a_failing_test_shows_its_runs_with_explanations(repository: pytest.Pytester) -> None:
    repository.makepyfile(FAILING)
    result = repository.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        """
        >       sqlmesh_tracker.assert_executed("shop.weekly")
        E       AssertionError: shop.weekly was not executed: its cron was not due
        E         run         prod, execution_time 2024-01-10 12:00:0* UTC
        E         cron        @weekly, next due 2024-01-14 00:00:00 UTC
        E         intervals   loaded through 2024-01-06
        E                     3 days held back by cron: 2024-01-07 .. 2024-01-09
        E         this run    1 executed (shop.daily), 1 skipped
        E*
        E       To evaluate it now, use run(ignore_cron=True), or run at 2024-01-14 00:00:00 UTC*
        *- sqlmesh runs -*
        run prod, execution_time 2024-01-10 12:00:0* UTC: success in * s
        status    model * intervals or reason * time
        executed  shop.daily * 2024-01-09: new_interval * s
        skipped   shop.weekly  cron_not_due: next due 2024-01-14 00:00 UTC
        sqlmesh: 1 invocation in 1 test: 1 executed, 1 skipped
        """
    )
    # The helper's own frames do not help the reader.
    result.stdout.no_fnmatch_line("*assertions.py*")


def test_a_failing_test_without_invocations_has_no_section(repository: pytest.Pytester) -> None:
    repository.makepyfile("def test_it(sqlmesh_tracker):\n    sqlmesh_tracker.last")
    result = repository.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("E *NoReportError: no SQLMesh invocation was tracked*")
    result.stdout.no_fnmatch_line("*sqlmesh runs*")
    result.stdout.no_fnmatch_line("sqlmesh:*")


def test_a_failing_teardown_has_the_section_too(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        """
        import pytest

        @pytest.fixture
        def strict():
            yield
            raise RuntimeError("at teardown")

        def test_it(strict, context, sqlmesh_tracker):
            context.run()
        """
    )
    result = repository.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*- sqlmesh runs -*", "executed  shop.daily*"])


@pytest.mark.long
def test_quiet_sessions_have_totals_and_verbose_sessions_have_tables(
    repository: pytest.Pytester,
) -> None:
    repository.makepyfile(PASSING)
    plain = repository.runpytest_inprocess()
    plain.stdout.fnmatch_lines("sqlmesh: 1 invocation in 1 test: 1 executed, 1 skipped")
    plain.stdout.no_fnmatch_line("*shop.weekly*")
    verbose = repository.runpytest_inprocess("-v")
    verbose.stdout.fnmatch_lines(
        """
        *= sqlmesh runs =*
        *::test_daily
        run prod, *: success in * s
        executed  shop.daily*
        skipped   shop.weekly*
        sqlmesh: 1 invocation in 1 test: 1 executed, 1 skipped
        """
    )


def test_without_the_plugin_the_assertions_still_work(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        """
        from pytest_sqlmesh_tracker import sqlmesh_run_tracker

        def test_it(context):
            with sqlmesh_run_tracker(context) as tracker:
                context.run()
            tracker.assert_only_executed("shop.daily")
        """
    )
    result = repository.runpytest_inprocess("-p", "no:sqlmesh_tracker", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*sqlmesh runs*")


def test_without_the_plugin_its_fixture_is_unknown(repository: pytest.Pytester) -> None:
    repository.makepyfile("def test_it(sqlmesh_tracker):\n    pass")
    result = repository.runpytest_inprocess("-p", "no:sqlmesh_tracker")
    result.stdout.fnmatch_lines("E *fixture 'sqlmesh_tracker' not found")


def test_nested_trackers_count_once(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        """
        from pytest_sqlmesh_tracker import sqlmesh_run_tracker, track_all

        def test_it(context, sqlmesh_tracker):
            with track_all() as outer, sqlmesh_run_tracker(context) as inner:
                context.run()
            assert outer.last is inner.last is sqlmesh_tracker.last
        """
    )
    result = repository.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("sqlmesh: 1 invocation in 1 test: 1 executed, 1 skipped")


HEAVY = ("sqlmesh", "sqlglot", "dagster", "pandas", "pydantic", "rich", "duckdb")
LISTS_IMPORTS = f"""
import sys

def pytest_unconfigure(config):
    print("imported:", [name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.parametrize("options", [[], ["-v"], ["-n", "2"]], ids=["plain", "verbose", "xdist"])
@pytest.mark.processes
def test_an_idle_session_imports_nothing_heavy(
    pytester: pytest.Pytester, options: list[str]
) -> None:
    pytester.makeconftest(LISTS_IMPORTS)
    pytester.makepyfile("def test_it():\n    pass")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("imported: []")


def test_control_characters_in_messages_do_not_reach_the_terminal(
    repository: pytest.Pytester,
) -> None:
    repository.makepyfile(
        r"""
        import pytest

        def test_it(context, sqlmesh_tracker):
            with pytest.raises(Exception):
                context.run("\x1b[2Jdev")
            assert False
        """
    )
    result = repository.runpytest_inprocess("--color=no")
    result.stdout.fnmatch_lines("*- sqlmesh runs -*")
    assert "\x1b" not in "\n".join(
        line for line in result.outlines if line.startswith(("run ", "raised "))
    )

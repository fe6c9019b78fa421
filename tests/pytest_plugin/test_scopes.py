"""Sandboxes of all scopes in a user's session, and whose tests their reports belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shops import write_two_projects

CONFIG = """
gateways:
  local: {connection: {type: duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""


@pytest.fixture
def user(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with a SQLMesh project in its root, and one in `other`."""
    write_two_projects(pytester, CONFIG)
    return pytester


def session(user: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    user.makepyfile(
        f"""
        from datetime import datetime
        import pytest
        {tests}
        """
    )
    return user.runpytest_inprocess("-p", "no:xdist", "-rN", *options)


@pytest.mark.long
def test_a_test_makes_further_sandboxes(user: pytest.Pytester) -> None:
    result = session(
        user,
        """
        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        def test_rates(sqlmesh_project, sqlmesh_sandboxes):
            with sqlmesh_sandboxes() as same, sqlmesh_sandboxes(variables={"rate": 2}) as double:
                left_open = sqlmesh_sandboxes("other", variables={"rate": 3}, at="2024-01-20")
                assert same.run(at="+1 day").executed == {"shop.daily"}
                assert same.fetch("SELECT rate FROM shop.daily") == [(1,)]
                assert double.fetch("SELECT rate FROM shop.daily") == [(2,)]
                assert left_open.fetch("SELECT rate FROM shop.other") == [(3,)]
                assert f"{datetime.now():%m-%d}" == "01-09"
        """,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("sqlmesh: 1 invocation in 1 test: 1 executed")


@pytest.mark.long
def test_defaults_include_the_fixtures_for_config_and_setup(user: pytest.Pytester) -> None:
    user.makeconftest(
        """
        import pytest

        @pytest.fixture
        def sqlmesh_project_setup():
            return lambda connection: connection.execute("CREATE TABLE main.raw AS SELECT 1 AS id")
        """
    )
    session(
        user,
        """
        def further(connection):
            connection.execute("CREATE TABLE main.raw AS SELECT 2 AS id")

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1}, plan=False)
        def test_raw(sqlmesh_sandboxes, sqlmesh_project_factory):
            assert sqlmesh_sandboxes().fetch("SELECT id FROM raw") == [(1,)]
            assert sqlmesh_sandboxes(setup=further).fetch("SELECT id FROM raw") == [(2,)]
            project = sqlmesh_project_factory(setup=further, variables={"rate": 1}, plan=False)
            assert project.fetch("SELECT id FROM raw") == [(2,)]
        """,
    ).assert_outcomes(passed=1)


WIDER = """
        @pytest.fixture(scope="{scope}")
        def shop(sqlmesh_project_factory):
            with sqlmesh_project_factory(at="2024-01-09", variables={{"rate": 1}}) as project:
                project.run(at="+1 day")
                yield project

        class TestIt:
            @pytest.mark.sqlmesh_project(at="2024-01-20", variables={{"rate": 5}})
            def test_time(self, shop, sqlmesh_project):
                assert f"{{shop.now:%m-%d}} {{datetime.now():%m-%d}}" == "01-10 01-20"
                with shop.copy() as copy:
                    copy.run(at="2024-01-15").assert_executed("shop.daily")

            def test_untracked(self, shop):
                assert f"{{shop.now:%m-%d}}" == "01-10"
                assert datetime.now().year > 2024
                shop.run(at="+1 day").assert_executed("shop.daily")

            def test_tracked(self, shop, sqlmesh_tracker):
                shop.run()
                assert len(sqlmesh_tracker.reports) == 1
                assert len(shop.tracker.reports) == 3
        """


@pytest.mark.long
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_a_fixture_with_a_wider_scope_makes_a_sandbox(user: pytest.Pytester, scope: str) -> None:
    result = session(user, WIDER.format(scope=scope))
    result.assert_outcomes(passed=3)
    # Neither the run of the fixture nor that of a test that is not tracked.
    result.stdout.fnmatch_lines("sqlmesh: 2 invocations in 2 tests: 1 executed, 1 skipped")


@pytest.mark.long
def test_strict_mode_judges_the_runs_of_all_sandboxes_in_the_test(user: pytest.Pytester) -> None:
    result = session(
        user,
        """
        @pytest.fixture(scope="module")
        def shop(sqlmesh_project_factory):
            project = sqlmesh_project_factory(at="2024-01-09", variables={"rate": 1})
            project.fail("shop.daily")
            yield project

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        @pytest.mark.sqlmesh_tracker(strict=True)
        class TestStrict:
            def test_fork(self, sqlmesh_project):
                with sqlmesh_project.copy() as copy:
                    copy.fail("shop.daily")
                    copy.run(at="+1 day")

            def test_wider(self, shop, sqlmesh_tracker):
                shop.plan(at="+1 day", restate_models=["shop.daily"])

            def test_asserted(self, sqlmesh_sandboxes):
                with sqlmesh_sandboxes() as project:
                    project.fail("shop.daily")
                    project.run(at="+1 day").assert_failed("shop.daily")
        """,
    )
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of TestStrict.test_fork*",
            "sqlmesh_tracker strict: 1 unexpected outcome that the test did not assert",
            "*ERROR at teardown of TestStrict.test_wider*",
            "sqlmesh_tracker strict: * that the test did not assert",
        ]
    )


@pytest.mark.long
def test_a_failing_test_shows_the_runs_of_all_its_sandboxes(user: pytest.Pytester) -> None:
    result = session(
        user,
        """
        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        def test_both(sqlmesh_project, sqlmesh_sandboxes):
            sqlmesh_project.run(at="2024-01-10")
            with sqlmesh_sandboxes() as other:
                other.run(at="2024-01-11")
            assert False
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*sqlmesh runs*", "*execution_time 2024-01-10*", "*execution_time 2024-01-11*"]
    )


@pytest.mark.long
def test_a_fault_that_never_struck_is_a_warning_of_a_test_that_passed(
    user: pytest.Pytester,
) -> None:
    result = session(
        user,
        """
        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(sqlmesh_sandboxes, number):
            sqlmesh_sandboxes().fail("shop.daily")
            with sqlmesh_sandboxes() as project:
                project.fail("shop.daily")
                assert number == 1
        """,
        "-Wdefault::pytest_sqlmesh_tracker.SandboxWarning",
    )
    result.assert_outcomes(passed=1, failed=1, warnings=2)


HYPOTHESIS = """
        from hypothesis import HealthCheck, given, settings, strategies as st

        fixtures_are_kept = settings(
            deadline=None,
            max_examples=3,
            database=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        @fixtures_are_kept
        @given(days=st.integers(1, 5))
        def test_days(sqlmesh_sandboxes, days):
            with sqlmesh_sandboxes() as project:
                report = project.run(at=f"+{days} days")
                report.assert_executed("shop.daily")
                assert f"{datetime.now().year}" != "2024"

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        @fixtures_are_kept
        @given(days=st.integers(1, 5))
        def test_forks(sqlmesh_project, days):
            with sqlmesh_project.copy() as project:
                project.run(at=f"+{days} days").assert_executed("shop.daily")

        @settings(deadline=None, max_examples=3, database=None)
        @given(days=st.integers(1, 5))
        def test_factory(sqlmesh_project_factory, days):
            with sqlmesh_project_factory(at="2024-01-09", variables={"rate": 1}) as project:
                project.run(at=f"+{days} days").assert_executed("shop.daily")
        """


@pytest.mark.long
def test_hypothesis_draws_examples_for_sandboxes(user: pytest.Pytester) -> None:
    session(user, HYPOTHESIS).assert_outcomes(passed=3)


ASYNC = """
        import asyncio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def prepared(sqlmesh_project):
            await asyncio.to_thread(sqlmesh_project.run, at="2024-01-10")
            return sqlmesh_project

        @pytest.mark.anyio
        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        async def test_in_a_loop(prepared, sqlmesh_sandboxes):
            with sqlmesh_sandboxes() as other, prepared.copy() as copy:
                await asyncio.to_thread(other.run, at="2024-01-15")
                copy.run(at="2024-01-16")
                await asyncio.sleep(0.001)
                assert f"{datetime.now():%m-%d}" == f"{prepared.now:%m-%d}" == "01-10"

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        def test_of_a_loop(sqlmesh_project):
            async def main():
                await asyncio.sleep(0.001)
                return await asyncio.to_thread(sqlmesh_project.run, at="2024-01-10")

            asyncio.run(main()).assert_executed("shop.daily")
        """


@pytest.mark.long
def test_asyncio_tests_use_sandboxes(user: pytest.Pytester) -> None:
    session(user, ASYNC).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "sqlmesh_sandboxes(att='2024-01-09')",
            "sqlmesh_sandboxes has no argument 'att': did you mean at?",
        ),
        (
            "sqlmesh_project_factory(tick='no')",
            "tick must be True or False, not 'no'",
        ),
        (
            "sqlmesh_project_factory('nowhere')",
            "no SQLMesh project in *nowhere*",
        ),
    ],
)
def test_wrong_options_are_an_error_of_the_call(
    user: pytest.Pytester, call: str, message: str
) -> None:
    result = session(
        user,
        f"""
        def test_it(sqlmesh_sandboxes, sqlmesh_project_factory):
            {call}
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(f"E*SandboxError: {message}")
    result.stdout.no_fnmatch_line("*options.py*")


def test_a_project_that_is_not_found(user: pytest.Pytester) -> None:
    (user.path / "config.yaml").unlink()
    result = session(
        user,
        """
        @pytest.fixture(scope="module")
        def shop(sqlmesh_project_factory):
            return sqlmesh_project_factory()

        def test_it(shop):
            pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "E*SandboxError: no SQLMesh project found in * pass one as path=, *"
    )


def test_a_wider_fixture_can_not_request_the_fixtures_of_a_test(user: pytest.Pytester) -> None:
    result = session(
        user,
        """
        @pytest.fixture(scope="module")
        def shop(sqlmesh_sandboxes):
            return sqlmesh_sandboxes()

        def test_it(shop):
            pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*ScopeMismatch: *sqlmesh_sandboxes*")


@pytest.mark.long
def test_a_sandbox_that_outlives_its_test_is_closed(user: pytest.Pytester) -> None:
    result = session(
        user,
        """
        kept = []

        @pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 1})
        def test_one(sqlmesh_sandboxes):
            kept.append(sqlmesh_sandboxes())

        def test_two():
            kept[0].run()
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines("E*SandboxError: the sandbox of * is closed: it can't be used *")

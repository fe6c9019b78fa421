"""The fixture `sqlmesh_project` in a user's session: markers, ini, options, messages, workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shops import write_two_projects

pytestmark = pytest.mark.long

MARKER = "@pytest.mark.sqlmesh_project"


@pytest.fixture
def user(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with two SQLMesh projects: one in its root, one in `other`."""
    write_two_projects(pytester, CONFIG)
    return pytester


CONFIG = """
gateways:
  local: {connection: {type: duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
variables: {rate: 1}
disable_anonymized_analytics: true
"""


def test_a_first_test(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09 01:00")
        def test_days(sqlmesh_project, sqlmesh_context, sqlmesh_tracker):
            sqlmesh_project.run().assert_nothing_executed()
            sqlmesh_project.run(at="+1 day").assert_executed("shop.daily")
            assert sqlmesh_context is sqlmesh_project.context
            assert sqlmesh_tracker is sqlmesh_project.tracker
        """
    )
    result = user.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=1)
    # The plan of the template belongs to no test.
    result.stdout.fnmatch_lines("sqlmesh: 2 invocations in 1 test: 1 executed, 1 skipped")


def test_markers_merge_by_keyword_and_the_closest_wins(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.sqlmesh_project(at="2024-01-09", variables={"rate": 2})

        @pytest.mark.sqlmesh_project(variables={"rate": 3}, environment="dev")
        class TestClass:
            @pytest.mark.sqlmesh_project(environment=None, at="2024-01-10")
            def test_all_three(self, sqlmesh_project):
                assert f"{sqlmesh_project.now:%d}" == "10"
                assert sqlmesh_project.fetch("SELECT rate FROM shop__dev.daily") == [(3,)]

        def test_module(sqlmesh_project):
            assert f"{sqlmesh_project.now:%d}" == "09"
            assert sqlmesh_project.fetch("SELECT rate FROM shop.daily") == [(2,)]
        """
    )
    user.runpytest_inprocess("-p", "no:xdist").assert_outcomes(passed=2)


def test_a_class_is_closer_than_its_base_and_a_parameter_than_its_function(
    user: pytest.Pytester,
) -> None:
    user.makepyfile(
        """
        import pytest

        day = pytest.mark.sqlmesh_project

        @day(at="2024-01-09", plan=False)
        class Base:
            def test_it(self, sqlmesh_project):
                assert f"{sqlmesh_project.now:%d}" == self.wanted

        class TestBase(Base):
            wanted = "09"

        @day(at="2024-01-10")
        class TestDerived(Base):
            wanted = "10"

        @day(at="2024-01-10", plan=False)
        @pytest.mark.parametrize("wanted", [pytest.param("11", marks=day(at="2024-01-11")), "10"])
        def test_parameters(sqlmesh_project, wanted):
            assert f"{sqlmesh_project.now:%d}" == wanted
        """
    )
    user.runpytest_inprocess("-p", "no:xdist").assert_outcomes(passed=4)


NAMES = """
import pytest

@pytest.mark.sqlmesh_project(at="2024-01-09", plan=False)
def test_it(sqlmesh_project):
    print("models:", *sqlmesh_project.context.models)
"""


@pytest.mark.parametrize(
    ("test", "ini", "options", "model"),
    [
        ("test_it.py", "", (), "daily"),
        ("other/tests/test_it.py", "", (), "other"),
        ("test_it.py", "sqlmesh_tracker_project = other", (), "other"),
        ("other/test_it.py", "sqlmesh_tracker_project = .", (), "daily"),
        (
            "test_it.py",
            "sqlmesh_tracker_project = .",
            ("--sqlmesh-tracker-project=other",),
            "other",
        ),
    ],
)
def test_the_project_comes_from_the_option_or_the_ini_file_or_is_the_nearest(
    user: pytest.Pytester, test: str, ini: str, options: tuple[str, ...], model: str
) -> None:
    user.makeini(f"[pytest]\nfilterwarnings = ignore\n{ini}")
    (user.path / test).parent.mkdir(exist_ok=True)
    (user.path / test).write_text(NAMES)
    result = user.runpytest_inprocess("-p", "no:xdist", "-s", *options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(f'*models: "memory"."shop"."{model}"')


def test_the_path_of_the_marker_wins_and_is_relative_to_the_root_folder(
    user: pytest.Pytester,
) -> None:
    user.makeini("[pytest]\nfilterwarnings = ignore\nsqlmesh_tracker_project = .")
    test = NAMES.replace("at=", '"other", at=')
    (user.path / "deep").mkdir()
    (user.path / "deep" / "test_it.py").write_text(test)
    result = user.runpytest_inprocess("-p", "no:xdist", "-s")
    result.stdout.fnmatch_lines('*models: "memory"."shop"."other"')


WRONG = {
    '(att="2024")': "the marker sqlmesh_project has no argument 'att': did you mean at*",
    "(environmnt=None)": "the marker sqlmesh_project has no argument 'environmnt': did you*",
    '("other", "x")': "the marker sqlmesh_project takes one positional argument: path",
    '("none")': "no SQLMesh project in *none: the folder does not exist",
    '(at="soon")': "'soon' is not a time: use an ISO string such as '2024-01-09 01:00' (UTC)",
    '(at="2023-06-01")': "at=2023-06-01 00:00:00 UTC is before the project's start, 2024*",
    '(setup="none.sql")': "setup: *none.sql does not exist",
}


def test_invalid_markers_are_one_line_errors(user: pytest.Pytester) -> None:
    tests = [
        f"{MARKER}{marker}\ndef test_{number}(sqlmesh_project):\n    pass\n"
        for number, marker in enumerate(WRONG)
    ]
    user.makepyfile("import pytest\n\n" + "\n".join(tests))
    result = user.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(errors=len(WRONG))
    for number, message in enumerate(WRONG.values()):
        result.stdout.fnmatch_lines(
            [f"_* ERROR at setup of test_{number} _*", f"sqlmesh_project: {message}"],
            consecutive=True,
        )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("E  *")


def test_without_a_project_the_ways_to_name_one_are_listed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(sqlmesh_project):\n    pass")
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-W", "ignore")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "sqlmesh_project: no SQLMesh project found in *; pass one in the marker *"
    )


def test_a_template_that_fails_is_reported_in_full_only_once(user: pytest.Pytester) -> None:
    (user.path / "models" / "broken.sql").write_text(
        "MODEL (name shop.broken, kind FULL); SELECT rate::date AS day FROM shop.daily"
    )
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09")
        @pytest.mark.parametrize("number", range(20))
        def test_it(sqlmesh_project, number):
            pass
        """
    )
    # In CI, pytest's own summary repeats all of each message: without it here.
    result = user.runpytest_inprocess("-p", "no:xdist", "-rN")
    result.assert_outcomes(errors=20)
    lines = [line for line in result.outlines if "shop.broken failed: its evaluation" in line]
    assert len(lines) == 20
    assert len([line for line in result.outlines if line.startswith("  batches ")]) == 1
    again = [line for line in result.outlines if "not retried" in line]
    assert len([line for line in again if line.startswith("sqlmesh_project:")]) == 19


def test_overridden_fixtures_give_configuration_and_data(user: pytest.Pytester) -> None:
    user.makeconftest(
        """
        import pytest
        from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig
        from sqlmesh.core.config import ModelDefaultsConfig


        @pytest.fixture(scope="session")
        def sqlmesh_project_config():
            return Config(
                gateways={"mine": GatewayConfig(connection=DuckDBConnectionConfig())},
                model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
                variables={"rate": 9},
            )


        @pytest.fixture
        def sqlmesh_project_setup():
            def setup(connection):
                connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.orders AS SELECT 5 AS id")
            return setup
        """
    )
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09")
        @pytest.mark.parametrize("number", range(2))
        def test_it(sqlmesh_project, number):
            assert sqlmesh_project.context.selected_gateway == "mine"
            assert sqlmesh_project.fetch("SELECT rate, id FROM shop.daily, raw.orders") == [(9, 5)]
        """
    )
    user.runpytest_inprocess("-p", "no:xdist").assert_outcomes(passed=2)


def test_a_fault_that_was_never_triggered_is_in_the_warnings_summary(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09")
        def test_it(sqlmesh_project):
            sqlmesh_project.fail("shop.daily")
        """
    )
    shown = "default::pytest_sqlmesh_tracker.SandboxWarning"
    result = user.runpytest_inprocess("-p", "no:xdist", "-W", "ignore", "-W", shown)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        "*SandboxWarning: the fault on shop.daily was never triggered: it was not evaluated after*"
    )


def test_a_failed_test_has_no_warning_about_its_faults(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09")
        def test_it(sqlmesh_project):
            sqlmesh_project.fail("shop.daily")
            sqlmesh_project.run(at="2024-01-08")
        """
    )
    shown = "default::pytest_sqlmesh_tracker.SandboxWarning"
    result = user.runpytest_inprocess("-p", "no:xdist", "-W", "ignore", "-W", shown)
    result.assert_outcomes(failed=1, warnings=0)
    # The mistake is in the test's line: the way through the sandbox is not shown.
    assert not [line for line in result.outlines if "sandbox/" in line]


def test_a_failing_test_shows_its_runs(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
        import pytest

        @pytest.mark.sqlmesh_project(at="2024-01-09")
        def test_it(sqlmesh_project):
            sqlmesh_project.run().assert_executed("shop.daily")
        """
    )
    result = user.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*shop.daily was not executed: its cron was not due", "*sqlmesh runs*"]
    )


def test_the_markers_are_in_pytests_help(user: pytest.Pytester) -> None:
    result = user.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines("@pytest.mark.sqlmesh_project(path=None, *, gateway=None, at=None*")
    result = user.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines("*--sqlmesh-tracker-project=PATH*")

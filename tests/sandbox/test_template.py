"""Templates: planned once for all tests with the same options, and the errors if that fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError
from pytest_sqlmesh_tracker.sandbox.options import project_options
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import ONE_AND_FOUR, Project

from .building import Sandboxes


def small(path: Path, query: str = "SELECT 1 AS id", **properties: str) -> Path:
    """A project with one model, `a.one`."""
    project = Project(path)
    project.write("config.yaml", ONE_AND_FOUR)
    project.model("a.one", query, **properties)
    return path


@pytest.mark.long
def test_tests_with_equal_options_share_a_template(templates: Templates, payroll: Path) -> None:
    def template(**arguments: object) -> object:
        options = project_options({"path": payroll, "at": "2024-01-05 00:05", **arguments})
        return templates.get(options, None, None)

    assert template() is template(environment="prod", tick=True) is template(variables={})
    assert template() is not template(plan=False)


def test_functions_defined_again_for_each_test_are_equal(
    templates: Templates, payroll: Path
) -> None:
    options = project_options({"path": payroll, "at": "2024-01-05 00:05", "plan": False})

    def plain() -> Callable[[Any], None]:
        def setup(connection: Any) -> None:
            connection.execute("CREATE TABLE main.made (id int)")

        return setup

    def carrying(name: str) -> Callable[[Any], None]:
        def setup(connection: Any) -> None:
            connection.execute(f"CREATE TABLE main.{name} (id int)")

        return setup

    one = templates.get(options, None, plain())
    assert one is templates.get(options, None, plain())
    assert one is not templates.get(options, None, carrying("one"))

    class Rows:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self, connection: Any) -> None:
            connection.execute(f"CREATE TABLE main.{self.name} (id int)")

    five, six = Rows("five"), Rows("six")
    assert templates.get(options, None, five.load) is not templates.get(options, None, six.load)


def test_equal_lines_in_two_files_are_different_functions(
    templates: Templates, payroll: Path, tmp_path: Path
) -> None:
    """They read other globals."""
    options = project_options({"path": payroll, "at": "2024-01-05 00:05", "plan": False})
    made = []
    for name in ("one", "other"):
        lines = "def setup(connection):\n    connection.execute(SQL)\n"
        names = {"SQL": f"CREATE TABLE main.from_{name} (id int)"}
        exec(compile(lines, str(tmp_path / f"{name}.py"), "exec"), names)
        made.append(templates.get(options, None, names["setup"]))  # type: ignore[arg-type]
    assert made[0] is not made[1]


def test_packages_installed_below_the_project_are_loaded_only_once(
    sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment is often in the repository; its modules are not copied."""
    small(tmp_path)
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed_below.py").write_text("")
    monkeypatch.syspath_prepend(packages)
    import installed_below  # type: ignore[import-not-found]

    with sandboxes(tmp_path) as sandbox:
        sandbox.write("models/new.sql", "MODEL (name a.new); SELECT 1 AS one")
        assert sys.modules["installed_below"] is installed_below
    assert sys.modules.pop("installed_below") is installed_below


def test_a_template_need_not_be_planned(sandboxes: Sandboxes, payroll: Path) -> None:
    with sandboxes(payroll, plan=False) as sandbox:
        assert not sandbox.context.state_reader.get_environments()
        sandbox.plan().assert_executed("pay.*")


@pytest.mark.long
def test_a_template_is_planned_in_the_requested_environment(
    sandboxes: Sandboxes, payroll: Path
) -> None:
    with sandboxes(payroll, environment="dev") as sandbox:
        assert sandbox.run(at="+1 day").environment == "dev"
        assert sandbox.plan().environment == "dev"
        names = [each.name for each in sandbox.context.state_reader.get_environments()]
        assert names == ["dev"]


def test_variables_are_those_of_the_marker(sandboxes: Sandboxes, tmp_path: Path) -> None:
    small(tmp_path, "SELECT @rate AS rate, @VAR('Country', 'none') AS country")
    arguments = {"at": "2024-01-05", "variables": {"RATE": 7, "country": "AT"}}
    with sandboxes(tmp_path, **arguments) as sandbox:
        assert sandbox.fetch("SELECT rate, country FROM a.one") == [(7, "AT")]


class TestSelection:
    def test_plans_selected_and_upstream_models(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll, select="pay.slips") as sandbox:
            report = sandbox.run(at="+1 day")
            # The audit exists as well, since everything that it reads exists.
            assert list(report.outcomes) == ["pay.hours", "pay.slips", "pay_slips_exist"]
            report.assert_executed("pay.*")
            assert not sandbox.plan().removed

    def test_leaves_out_audits_of_unselected_models(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with sandboxes(payroll, select="pay.clocked") as sandbox:
            assert set(sandbox.run(at="+1 day").outcomes) == {"raw.clock", "pay.clocked"}

    @pytest.mark.long
    def test_stays_when_files_are_written(self, sandboxes: Sandboxes, payroll: Path) -> None:
        with sandboxes(payroll, select=["pay.total", "pay.clocked"]) as sandbox:
            sandbox.write("models/new.sql", "MODEL (name pay.new); SELECT ts FROM pay.noted")
            report = sandbox.plan()
            assert set(report.outcomes) == {
                *("raw.clock", "pay.clocked", "pay.hours", "pay.slips", "pay.total"),
                *("raw.notes", "pay.noted", "pay.new", "pay_slips_exist"),
            }
            report.assert_only_executed("pay.new", "pay.noted")

    def test_a_selection_without_a_match_is_reported(
        self, sandboxes: Sandboxes, payroll: Path
    ) -> None:
        with pytest.raises(SandboxError, match=r"select: no model matches pay.slip$"):
            with sandboxes(payroll, select="pay.slip"):
                pass


class TestTemplatesThatCannotBePlanned:
    def template(self, templates: Templates, path: Path, **arguments: object) -> str:
        """The error."""
        options = project_options({"path": path, "at": "2024-01-05 00:05", **arguments})
        with pytest.raises(SandboxError) as error:
            templates.get(options, None, None)
        return str(error.value)

    def test_a_failure_is_reported_in_full_only_once(
        self, templates: Templates, tmp_path: Path
    ) -> None:
        small(tmp_path, "SELECT 1 / 'x' AS id")
        first = self.template(templates, tmp_path)
        failed = "the plan of prod failed: a.one failed: its evaluation raised ConversionException"
        assert first.startswith(failed)
        assert "a.one failed: its evaluation raised ConversionException" in first

        started = list(tmp_path.parent.iterdir())
        again = self.template(templates, tmp_path)
        assert again.startswith(failed)
        assert again.endswith("(as before; not retried)")
        assert len(again.splitlines()) == 1
        assert list(tmp_path.parent.iterdir()) == started

    def test_the_exception_of_a_signal_comes_first(
        self, templates: Templates, tmp_path: Path
    ) -> None:
        small(tmp_path, signals="(delivered())", cron="'@daily'")
        Project(tmp_path).write(
            "signals/deliveries.py",
            """
            from sqlmesh import signal

            @signal()
            def delivered(batch, context):
                return bool(context.engine_adapter.fetchall("SELECT * FROM raw.deliveries"))
            """,
        )
        message = self.template(templates, tmp_path)
        assert message.startswith("the plan of prod failed: CatalogException: ")

    def test_a_missing_folder(self, templates: Templates, tmp_path: Path) -> None:
        message = self.template(templates, tmp_path / "none")
        assert message == f"no SQLMesh project in {tmp_path / 'none'}: the folder does not exist"

    def test_no_configuration(self, templates: Templates, tmp_path: Path) -> None:
        message = self.template(templates, tmp_path)
        assert message == (
            f"no SQLMesh project in {tmp_path}: it contains no config.yaml, config.yml, config.py, "
            "sqlmesh.yaml or sqlmesh.yml"
        )

    def test_a_broken_configuration(self, templates: Templates, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text(
            "gateways: {a: {connection: {type: duckdb}}}\nmodel_defaults: {nonsense: 1}"
        )
        message = self.template(templates, tmp_path)
        assert message.startswith(f"the project {tmp_path} can't be loaded: ")
        assert "nonsense" in message

    def test_a_broken_model(self, templates: Templates, tmp_path: Path) -> None:
        small(tmp_path, "SELECT FROM FROM")
        message = self.template(templates, tmp_path)
        assert message.startswith(f"the project {tmp_path} can't be loaded: ")
        assert str(tmp_path / "models" / "a.one.sql") in message
        again = self.template(templates, tmp_path)
        assert "a.one.sql" in again
        assert len(again.splitlines()) == 1

    def test_an_unknown_gateway(self, templates: Templates, tmp_path: Path) -> None:
        message = self.template(templates, small(tmp_path), gateway="three")
        assert message == "no gateway 'three': the project has one, four"

    def test_a_time_before_the_project_starts(self, templates: Templates, tmp_path: Path) -> None:
        message = self.template(templates, small(tmp_path), at="2023-12-31")
        assert message == (
            "at=2023-12-31 00:00:00 UTC is before the project's start, 2024-01-01 00:00:00 UTC"
        )

    @pytest.mark.parametrize(
        ("config", "setup", "message"),
        [
            (
                {"a": 1},
                None,
                "sqlmesh_project_config returned a dict; it must return a SQLMesh Config",
            ),
            (None, "raw.sql", "sqlmesh_project_setup returned a str; it must return a function"),
        ],
    )
    def test_fixtures_that_return_something_else(
        self, templates: Templates, tmp_path: Path, config: Any, setup: Any, message: str
    ) -> None:
        with pytest.raises(SandboxError, match=message):
            templates.get(project_options({"path": small(tmp_path)}), config, setup)

    def test_an_interrupt_is_not_a_failure_of_the_template(
        self, templates: Templates, tmp_path: Path
    ) -> None:
        options = project_options({"path": small(tmp_path), "at": "2024-01-05"})

        def interrupted(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            templates.get(options, None, interrupted)
        templates.get(options, None, None)

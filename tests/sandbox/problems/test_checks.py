"""Errors of a sandbox for linter errors, failing unit tests and files that can't be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmesh.utils.errors import ConfigError, LinterError, PlanError

from pytest_sqlmesh_tracker import SandboxError
from tests.projects import Project
from tests.sandbox.building import DEFAULTS, Sandboxes, project

OWNER = '''
from sqlmesh.core.linter.rule import Rule


class NoMissingOwner(Rule):
    """Model owner should always be specified."""

    def check_model(self, model):
        return None if model.owner else self.violation()
'''


def shop(path: Path, linter: str = "") -> Project:
    """Two models; `shop.b` selects `*`, and neither has an owner."""
    made = project(path, "{one: {connection: {type: duckdb}}}", f"{DEFAULTS}{linter}")
    made.write("linter/owner.py", OWNER)
    made.model("shop.a", "SELECT 1 AS x", cron="'@daily'")
    made.model("shop.b", "SELECT * FROM shop.a", cron="'@daily'")
    return made


ERRORS = "linter: {enabled: true, rules: [nomissingowner, noselectstar]}"


class TestLinterErrors:
    def test_errors_in_the_template_name_rules_models_and_files(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        shop(tmp_path, ERRORS)
        with pytest.raises(SandboxError) as error:
            with sandboxes(tmp_path):
                pass
        headline, *rest = str(error.value).splitlines()
        assert headline == (
            "the plan of prod failed: Linter detected errors in 2 models: nomissingowner, "
            "noselectstar"
        )
        assert rest[:6] == [
            "",
            f"Linter errors for shop.a, {tmp_path}/models/shop.a.sql:",
            " - nomissingowner: Model owner should always be specified.",
            "",
            f"Linter errors for shop.b, {tmp_path}/models/shop.b.sql:",
            " - nomissingowner: Model owner should always be specified.",
        ]
        assert "noselectstar: Query should not contain SELECT *" in rest[6]

    def test_errors_in_a_plan_have_the_same_message(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        shop(tmp_path, ERRORS)
        with sandboxes(tmp_path, plan=False) as sandbox:
            with pytest.raises(LinterError, match=r"errors in 2 models: nomissingowner") as error:
                sandbox.plan()
            assert f"{tmp_path}/models/shop.a.sql" in str(error.value)
            # The way through SQLMesh is left out: one step through this package, and no cause.
            assert error.value.__cause__ is None
            assert error.value.__suppress_context__
            assert not [e for e in error.traceback if "core/context.py" in str(e.path)]
            # The report has them as well.
            assert "nomissingowner" in (sandbox.tracker.last.error or "")
            sandbox.plan(skip_linter=True).assert_executed("shop.*")

    def test_errors_of_a_single_model_are_in_the_headline(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        shop(tmp_path, "linter: {enabled: true, rules: [noselectstar]}")
        with pytest.raises(SandboxError, match=r"Linter detected errors in shop.b: nosel"):
            with sandboxes(tmp_path):
                pass

    def test_warnings_do_not_fail(self, sandboxes: Sandboxes, tmp_path: Path) -> None:
        shop(tmp_path, "linter: {enabled: true, warn_rules: [nomissingowner, noselectstar]}")
        with sandboxes(tmp_path) as sandbox:
            sandbox.run(at="+1 day").assert_executed("shop.*")


UNIT_TESTS = """
test_a_is_two:
  model: shop.a
  outputs: {query: [{x: 2}]}
test_a_has_two_rows:
  model: shop.a
  description: one for each customer
  outputs: {query: [{x: 1}, {x: 7}]}
test_a_has_y:
  model: shop.a
  outputs: {query: [{y: 1}]}
test_a_is_one:
  model: shop.a
  outputs: {query: [{x: 1}]}
"""


class TestUnitTests:
    def test_failing_tests_are_named_with_sqlmeshs_tables(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        shop(tmp_path).write("tests/test_a.yaml", UNIT_TESTS)
        with sandboxes(tmp_path) as sandbox:
            with pytest.raises(PlanError) as error:
                sandbox.plan()
            words = str(error.value)
            headline = words.splitlines()[0]
            assert headline.startswith("3 of 4 unit tests failed: test_a_")
            file = f"of model shop.a, {tmp_path}/tests/test_a.yaml"
            assert f"FAIL: test_a_is_two {file}" in words
            assert f"FAIL: test_a_has_two_rows {file}\none for each customer" in words
            assert f"ERROR: test_a_has_y {file}" in words
            assert "Unknown column(s): y" in words
            assert "test_a_is_one" not in words
            # SQLMesh's own tables.
            assert "x: Expected" in words
            assert "x: Actual" in words
            assert "Missing rows" in words
            assert sandbox.plan(skip_tests=True).completion == "nothing_to_do"

    def test_passing_tests_are_not_mentioned(self, sandboxes: Sandboxes, tmp_path: Path) -> None:
        shop(tmp_path).write(
            "tests/test_a.yaml",
            "test_a_is_one:\n  model: shop.a\n  outputs: {query: [{x: 1}]}\n",
        )
        with sandboxes(tmp_path) as sandbox:
            assert sandbox.plan().error is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("MODEL (name shop.new);\nSELECT FROM FROM", "Expected table name"),
        ("MODEL (name shop.new);\nSELECT @none(1) AS x", "Macro 'none' does not exist"),
        ("MODEL (kind FULL);\nSELECT 1 AS x", "Please add the required 'name' field"),
        ("MODEL (name shop.new, knd FULL);\nSELECT 1 AS x", "Invalid field name"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_the_reason(
    sandboxes: Sandboxes, tmp_path: Path, model: str, reason: str
) -> None:
    """By the path that the user knows, in the template as well as in a sandbox."""
    made = shop(tmp_path)
    file = tmp_path / "models" / "new.sql"
    with sandboxes(tmp_path) as copy:
        with pytest.raises(ConfigError) as error:
            copy.write("models/new.sql", model)
        assert not [e for e in error.traceback if "core/loader.py" in str(e.path)]
        written = str(error.value)
    made.write("models/new.sql", model)
    with pytest.raises(SandboxError) as refused:
        with sandboxes(tmp_path, at="2024-01-06"):
            pass
    template = str(refused.value)
    assert template.startswith(f"the project {tmp_path} can't be loaded: ")
    for words in (written, template):
        assert str(file) in words
        assert reason in words
        assert "\x1b" not in words
        assert "sqlmesh_project" not in words
        assert len(words.splitlines()) < 12

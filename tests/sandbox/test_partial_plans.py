"""Templates in which models fail: their errors, and the effect of `plan="partial"`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError
from pytest_sqlmesh_tracker.tracking.compat import sees_through_idle_parents
from tests.projects import Project

from .building import Sandboxes, project

DAILY = "'@daily'"
AUDIT = """
AUDIT (name no_gaps, standalone true);
SELECT 1 AS gap FROM s.broken WHERE FALSE;
"""


def half_broken(path: Path) -> Project:
    """`s.good` and `s.better` load. Three models read a table that does not exist, and one is below
    them; another fails by itself."""
    made = project(path, "{one: {connection: {type: duckdb}}}")
    made.model("s.good", "SELECT 1 AS id", cron=DAILY)
    made.model("s.better", "SELECT id FROM s.good", cron=DAILY)
    for name in ("s.orders", "s.items", "s.refunds"):
        made.model(name, "SELECT COUNT(*)::INT AS id FROM raw.sales", cron=DAILY)
    made.model("s.below", "SELECT id FROM s.orders JOIN s.better USING (id)", cron=DAILY)
    made.model("s.broken", "SELECT ('x' || id)::INT AS id FROM s.good", cron=DAILY)
    made.write("audits/no_gaps.sql", AUDIT)
    return made


def refused(sandboxes: Sandboxes, path: Path, **arguments: Any) -> list[str]:
    """The lines of the error for a template that fails."""
    with pytest.raises(SandboxError) as error:
        with sandboxes(path, **arguments):
            pass
    return str(error.value).splitlines()


evaluates_what_it_can = pytest.mark.skipif(
    not sees_through_idle_parents(),
    reason="Before 0.210, SQLMesh creates all tables before it evaluates any model.",
)


class TestWords:
    @evaluates_what_it_can
    def test_failures_are_grouped_by_error(self, sandboxes: Sandboxes, tmp_path: Path) -> None:
        half_broken(tmp_path)
        lines = refused(sandboxes, tmp_path)
        assert lines[0].startswith(
            "the plan of prod failed: 4 models failed with 2 errors, 3 with CatalogException: "
        )
        first = next(i for i, line in enumerate(lines) if line.startswith("3 models failed: "))
        assert "raw.sales" in lines[first]
        names, below, reads = lines[first + 1 : first + 4]
        assert sorted(names.split(None, 1)[1].split(", ")) == ["s.items", "s.orders", "s.refunds"]
        assert below == "  downstream  1 model, not evaluated"
        assert reads == "  reads       raw.sales, which does not exist"
        second = next(i for i, line in enumerate(lines) if line.startswith("1 model failed: "))
        assert second > first
        assert "ConversionException" in lines[second]
        assert lines[second + 1] == "  models      s.broken"
        assert "s.below" not in "\n".join(lines)

    @evaluates_what_it_can
    @pytest.mark.long
    def test_the_remedies_work(self, sandboxes: Sandboxes, tmp_path: Path) -> None:
        made = half_broken(tmp_path)
        *_, create, _, partial = refused(sandboxes, tmp_path)
        assert create == (
            "raw.sales, which s.items, s.orders, s.refunds read, is not declared by any model, "
            "and the queries that read it don't show its columns, as with SELECT * or COUNT(*). "
            "Declare it with its columns in external_models.yaml, or create it with setup= or "
            "before_all."
        )
        assert partial.startswith('plan="partial" leaves out failed models')
        assert partial.endswith("2 models loaded.")
        made.write("raw.sql", "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 1 AS id")
        lines = refused(sandboxes, tmp_path, setup=tmp_path / "raw.sql")
        assert lines[0].startswith("the plan of prod failed: s.broken failed: ")
        assert "setup=" not in "\n".join(lines)

    def test_the_same_error_of_several_models_is_the_headline(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        made = project(tmp_path, "{one: {connection: {type: duckdb}}}")
        for number in range(3):
            made.model(f"s.m{number}", "SELECT ('x' || 1)::INT AS id", cron=DAILY)
        lines = refused(sandboxes, tmp_path)
        assert lines[0].startswith(
            "the plan of prod failed: 3 models failed with the same error: ConversionException: "
        )
        # Nothing loaded: a partial plan would have nothing.
        assert "partial" not in "\n".join(lines)

    def test_blocking_audits_are_distinguished(self, sandboxes: Sandboxes, tmp_path: Path) -> None:
        made = project(tmp_path, "{one: {connection: {type: duckdb}}}")
        for name in ("s.one", "s.two"):
            made.model(name, "SELECT 1 AS id", cron=DAILY, audits="(forall(criteria := (id > 1)))")
        lines = refused(sandboxes, tmp_path)
        assert lines[0] == (
            "the plan of prod failed: 2 models failed with the same error: a blocking audit "
            "failed: forall (1 row)"
        )

    @evaluates_what_it_can
    def test_models_that_start_later_are_named_with_the_time_that_helps(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        made = project(tmp_path, "{one: {connection: {type: duckdb}}}")
        made.model("s.latest", "SELECT 1 AS id", cron=DAILY, start="'2024-03-05'")
        made.model("s.late", "SELECT id FROM s.latest", cron=DAILY, start="'2024-03-01'")
        made.model("s.early", "SELECT id FROM s.late", cron=DAILY)
        lines = refused(sandboxes, tmp_path, at="2024-01-05")
        message = "s.latest, s.late were not loaded: they start after the plan's execution time."
        assert message in lines
        assert 'Plan with at="2024-03-06 00:00" or later.' in lines
        with sandboxes(tmp_path, at="2024-03-06 00:00") as planned:
            assert planned.fetch("SELECT id FROM s.early") == [(1,)]


class TestPartial:
    @pytest.fixture(scope="class")
    def half(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The project that is half broken; its partial plan is made once."""
        return half_broken(tmp_path_factory.mktemp("half")).path

    @pytest.mark.long
    def test_models_that_load_can_be_tested(self, sandboxes: Sandboxes, half: Path) -> None:
        with sandboxes(half, plan="partial") as sandbox:
            assert sandbox.fetch("SELECT id FROM s.better") == [(1,)]
            report = sandbox.run(at="+1 day")
            report.assert_only_executed("s.good", "s.better")
            report.assert_skipped("s.orders", "s.below", "s.broken", reason="not_in_environment")

            assert sandbox.plan().completion == "nothing_to_do"
            sandbox.write("models/new.sql", "MODEL (name s.new); SELECT id FROM s.better")
            sandbox.plan().assert_only_executed("s.new")

            sandbox.fail("s.good")
            sandbox.travel("+1 day")
            report = sandbox.run()
            report.assert_failed("s.good")
            report.assert_skipped("s.better", reason="upstream_failed")

    def test_a_repaired_model_is_planned(self, sandboxes: Sandboxes, half: Path) -> None:
        with sandboxes(half, plan="partial") as sandbox:
            sandbox.write("models/s.orders.sql", "MODEL (name s.orders); SELECT 1 AS id")
            report = sandbox.plan()
            report.assert_only_executed("s.orders", "s.below")
            report.assert_skipped("s.items", "s.broken", reason="not_selected")

    def test_failing_models_fail_in_a_full_plan(self, sandboxes: Sandboxes, half: Path) -> None:
        with sandboxes(half, plan="partial") as sandbox:
            report = sandbox.plan(select_models=["*"])
            report.assert_failed("s.orders", "s.items", "s.refunds", "s.broken")
            # What is planned stays as it was.
            sandbox.run(at="+1 day").assert_only_executed("s.good", "s.better")

    def test_only_planned_models_are_restated(self, sandboxes: Sandboxes, half: Path) -> None:
        with sandboxes(half, plan="partial") as sandbox:
            report = sandbox.plan(restate_models=["s.good"])
            report.assert_only_executed("s.good", "s.better")

    def test_a_partial_plan_without_failures_equals_a_full_plan(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        made = project(tmp_path, "{one: {connection: {type: duckdb}}}")
        made.model("s.good", "SELECT 1 AS id", cron=DAILY)
        with sandboxes(tmp_path, plan="partial") as copy:
            report = copy.plan()
            assert "select_models" not in report.arguments
            assert not report.skipped - {"s.good"}

    def test_a_partial_plan_without_any_loadable_model_is_rejected(
        self, sandboxes: Sandboxes, tmp_path: Path
    ) -> None:
        made = project(tmp_path, "{one: {connection: {type: duckdb}}}")
        made.model("s.root", "SELECT ('x' || 1)::INT AS id", cron=DAILY)
        made.model("s.below", "SELECT id FROM s.root", cron=DAILY)
        lines = refused(sandboxes, tmp_path, plan="partial")
        assert lines[0].startswith(
            "the plan of prod failed, and no models are left to load: s.root failed: "
        )

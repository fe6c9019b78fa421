"""The examples of the chapters on Dagster, in the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject
from tests.chapters import not_printed, quotations

from .conftest import checks, facts, materialized, step_failure

pytestmark = pytest.mark.documents

DOCS = Path(__file__).parents[2] / "docs"
CHAPTER, COMING_FROM, PRODUCTION, DISTRIBUTED = (
    re.findall(
        r"^```(\w+)\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL
    )
    for name in ("dagster", "dagster-coming-from", "dagster-production", "dagster-distributed")
)
FILE = re.compile(r"^(?:#|--) (\S+/?\S*\.\w+)\n")
NEW_MODEL = "MODEL (name sales.customers, kind FULL); SELECT 1 AS id"


def write_files(folder: Path, blocks: list[tuple[str, str]]) -> None:
    for _, text in blocks:
        first_line = FILE.match(text)
        if first_line:
            file = folder / first_line[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


@pytest.fixture
def from_zero(pytester: pytest.Pytester) -> Path:
    """What a reader of the chapter has in front of them."""
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = ignore")
    write_files(pytester.path, CHAPTER)
    return pytester.path


@pytest.mark.processes
def test_the_tests_of_the_chapter_pass(pytester: pytest.Pytester, from_zero: Path) -> None:
    assert (from_zero / "definitions.py").exists()
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=3)


def test_the_other_examples_run(from_zero: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(from_zero)
    known: dict[str, Any] = {"__name__": "examples"}
    exec((from_zero / "definitions.py").read_text(), known)
    others = [text for language, text in CHAPTER if language == "python" and not FILE.match(text)]
    for example in [*others, *(text for language, text in COMING_FROM if language == "python")]:
        exec(example, known)
    assert len(others) == 2


class TestProduction:
    """The chapter on production, which continues with the first one's project."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        write_files(tmp_path, CHAPTER)
        write_files(tmp_path, PRODUCTION)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @pytest.fixture
    def known(self, folder: Path) -> dict[str, Any]:
        """What its definitions define."""
        known: dict[str, Any] = {"__name__": "production"}
        exec((folder / "definitions.py").read_text(), known)
        return known

    def test_the_instance_has_the_documented_settings(
        self, folder: Path, known: dict[str, Any]
    ) -> None:
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            pools = instance.get_concurrency_config().pool_config
            assert pools.pool_granularity is not None
            assert pools.pool_granularity.value == "run"
            assert instance.run_monitoring_enabled
            assert instance.run_monitoring_cancel_timeout_seconds == 3600
        pool = re.search(r"concurrency set (\S+) 1", dict(PRODUCTION)["console"])
        assert pool
        # Its first versions allow no slashes.
        assert known["warehouse"].op.pool in (pool[1], pool[1].replace("/", "_"))

    def test_the_other_examples_run(self, known: dict[str, Any]) -> None:
        for language, text in PRODUCTION:
            if language == "python" and not FILE.match(text):
                exec(text, known)
        assert known["patient"].drain_timeout == 600
        assert known["impatient"].longest_wait == 900

    def test_deployed_by_dagster_downstream_assets_are_requested(
        self, known: dict[str, Any]
    ) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            before = look(known["defs"], instance)
            deployed = execute(known["defs"], "deploy", instance)
            after = look(known["defs"], instance, before.cursor)
        assert materialized(deployed) == ["sales/orders", "sales/orders_daily"]
        assert before.total_requested == 0
        assert after.get_requested_partitions(dg.AssetKey("dashboard")) == {None}
        assert after.total_requested == 1

    def test_a_new_model_that_is_not_planned(self, folder: Path, known: dict[str, Any]) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            execute(known["defs"], "deploy", instance)
            (folder / "warehouse/models/customers.sql").write_text(NEW_MODEL)
            exec((folder / "definitions.py").read_text(), known)
            result = execute(known["defs"], "__ASSET_JOB", instance)
        check = checks(result)["sales/customers"]
        assert "sales/customers" not in materialized(result)
        assert (check.passed, check.severity.value) == (False, "WARN")
        assert facts(check)["sqlmesh/reason"] == "not_in_environment"


def test_environments_in_one_pool(from_zero: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the chapter on several machines, whose settings other tests use."""
    monkeypatch.chdir(from_zero)
    known: dict[str, Any] = {"__name__": "distributed"}
    exec(dict(DISTRIBUTED)["python"], known)
    dg.Definitions.validate_loadable(known["defs"])
    prod, staging = known["environments"]
    assert prod.op.pool == staging.op.pool == "sqlmesh_warehouse"
    assert dg.AssetKey(["staging", "sales", "orders"]) in staging.keys
    assert f"concurrency set {prod.op.pool} 1" in dict(DISTRIBUTED)["console"]


class TestTroubleshooting:
    """The messages that the chapter on troubleshooting quotes of Dagster."""

    QUOTATIONS = quotations("troubleshooting.md")

    @pytest.fixture
    def known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the definitions of the chapter on production define."""
        write_files(tmp_path, CHAPTER)
        write_files(tmp_path, PRODUCTION)
        monkeypatch.chdir(tmp_path)
        known: dict[str, Any] = {"__name__": "production"}
        exec((tmp_path / "definitions.py").read_text(), known)
        return known

    def test_a_missing_environment_and_a_removed_model(self, known: dict[str, Any]) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            missing = execute(known["defs"], "__ASSET_JOB", instance)
            execute(known["defs"], "deploy", instance)
            Path("warehouse/models/orders_daily.sql").unlink()
            execute(known["defs"], "deploy", instance)
            gone = execute(known["defs"], "__ASSET_JOB", instance)
        failure = step_failure(missing).description
        quotation = self.QUOTATIONS["The step fails because the environment is missing"]
        assert not_printed(quotation, failure) == []
        description = checks(gone)["sales/orders_daily"].description
        assert not_printed(self.QUOTATIONS["An asset's model is gone"], description) == []

    def test_a_component_without_state(self, tmp_path: Path) -> None:
        component = pytest.importorskip(
            "pytest_sqlmesh_tracker.dagster.component.component", exc_type=ImportError
        )
        made = component.SqlmeshProjectComponent(project=SqlmeshProject(tmp_path / "warehouse"))
        [spec] = made.build_defs_from_state(None, None).assets or []
        assert isinstance(spec, dg.AssetSpec)
        assert spec.description is not None
        quotation = self.QUOTATIONS["A component has no assets"]
        assert not_printed(quotation, spec.description) == []


def execute(definitions: dg.Definitions, job: str, instance: dg.DagsterInstance) -> Any:
    job_definition = definitions.get_repository_def().get_job(job)
    return job_definition.execute_in_process(instance=instance, raise_on_error=False)


def look(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: Any = None) -> Any:
    """What Dagster's automation requests."""
    return dg.evaluate_automation_conditions(
        definitions, instance, asset_selection=dg.AssetSelection.all(), cursor=cursor
    )

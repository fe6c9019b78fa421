"""Without `config.py`, SQLMesh finds a dbt project's configuration next to dbt's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version
from sqlmesh import __version__ as sqlmesh_version

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.tracking.project.defining import load_definition
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation

from .conftest import write_files

FILES = {
    "sqlmesh.yaml": "disable_anonymized_analytics: true\nmodel_defaults: {start: 2024-01-01}\n",
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}\n",
    "models/numbers.sql": "select 1 as n, 2 as m\n",
    "models/schema.yml": """
version: 2
models:
  - name: numbers
    columns:
      - {name: n, data_tests: [not_null, {unique: {name: one}}, {not_null: {name: two}}]}
      - {name: m, data_tests: [{not_null: {name: two}}]}
""",
    "tests/number.sql": "select * from {{ ref('numbers') }} where n > 1\n",
}

pytestmark = pytest.mark.skipif(
    Version(sqlmesh_version) < Version("0.220"), reason="SQLMesh reads config.py alone"
)


@pytest.fixture(scope="module")
def with_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("with_yaml"), FILES)


@pytest.fixture
def sqlmesh_project(_with_yaml: None, sqlmesh_project: Sandbox) -> Sandbox:
    return sqlmesh_project


@pytest.fixture
def _with_yaml(request: pytest.FixtureRequest, with_yaml: Path) -> None:
    request.node.add_marker(pytest.mark.sqlmesh_project(with_yaml, at="2024-01-05 06:00"))


def test_a_sandbox(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-06 06:00")

    report.assert_only_executed("main.numbers")
    assert report.audited == {"number"}
    # dbt has two tests of the same name here, which SQLMesh distinguishes.
    names = {audit.name for audit in report["main.numbers"].audits}
    assert names == {"not_null_numbers_n", "one", "two_numbers_n", "two_numbers_m"}


def test_a_definition(with_yaml: Path) -> None:
    definition = load_definition(ProjectLocation([str(with_yaml)]))

    assert [(model.name, model.kind) for model in definition.models] == [
        ("main.numbers", "view"),
        ("number", "audit"),
    ]

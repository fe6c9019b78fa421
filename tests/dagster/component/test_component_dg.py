"""The command `dg`: it finds the component, writes its YAML, and reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import dagster as dg
import pytest

if not hasattr(dg, "StateBackedComponent"):
    pytest.skip("this Dagster has no components that keep state", allow_module_level=True)

from dagster.components.core.package_entry import discover_entry_point_package_objects
from dagster.components.testing.utils import create_defs_folder_sandbox

from pytest_sqlmesh_tracker.dagster import SqlmeshProjectComponent

SAMPLES = Path(__file__).parents[3] / "sample_projects"
DG = Path(sys.executable).with_name("dg")


def test_dg_lists_the_component() -> None:
    names = {key.to_typename() for key in discover_entry_point_package_objects()}
    assert "pytest_sqlmesh_tracker.dagster.SqlmeshProjectComponent" in names


def test_dg_scaffolds_yaml_for_an_existing_project() -> None:
    with create_defs_folder_sandbox(project_name="shop") as sandbox:
        home = shutil.copytree(SAMPLES / "cron_cascade", sandbox.project_root / "warehouse")
        path = sandbox.scaffold_component(
            SqlmeshProjectComponent, "shop", scaffold_params={"project_path": str(home)}
        )
        assert "project: ../../../../warehouse\n" in (path / "defs.yaml").read_text()
        with sandbox.build_component_tree() as tree:
            (component,) = tree.get_all_components(of_type=SqlmeshProjectComponent)
    assert component.project.paths == [str(home.resolve())]


def test_dg_scaffolds_yaml_to_be_completed() -> None:
    with create_defs_folder_sandbox(project_name="shop") as sandbox:
        path = sandbox.scaffold_component(SqlmeshProjectComponent, "shop")
        assert "project: null\n" in (path / "defs.yaml").read_text()


def test_dg_scaffolds_no_yaml_for_a_folder_without_a_project(tmp_path: Path) -> None:
    with create_defs_folder_sandbox(project_name="shop") as sandbox:
        with pytest.raises(click.UsageError) as raised:
            sandbox.scaffold_component(
                SqlmeshProjectComponent, "shop", scaffold_params={"project_path": str(tmp_path)}
            )
    assert str(raised.value).startswith(f"no SQLMesh project in {tmp_path}: it contains no config")


@pytest.mark.skipif(not DG.exists(), reason="dg is not installed")
@pytest.mark.processes
@pytest.mark.nightly
def test_the_sample_project_loads(tmp_path: Path) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    for name in ("cron_cascade", "dagster_warehouse"):
        shutil.copytree(SAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".local*"))
    ran = subprocess.run(
        [DG, "list", "defs", "--json"],
        cwd=tmp_path / "dagster_warehouse",
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("sales/orders", "shop_models_due", "sqlmesh_shop_models"):
        assert f'"{name}"' in ran.stdout

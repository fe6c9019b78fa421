"""Invalid input raises a clear one-line error, without internals of SQLMesh or Dagster."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import UnknownModelError
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets, sqlmesh_assets
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from tests.dagster.models import model, project
from tests.projects import Project

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

BROKEN = "MODEL (name shop.orders, kind FULL, cronn '@daily');\nSELECT 1 AS id"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    written = Project(tmp_path / "shop")
    written.model("shop.orders", "SELECT 1 AS id", tags="[core]")
    return written


def nothing(path: Path) -> SqlmeshProject:
    return SqlmeshProject(path / "nowhere")


def no_project(path: Path) -> SqlmeshProject:
    return SqlmeshProject(path)


def without_models(path: Path) -> SqlmeshProject:
    return SqlmeshProject(Project(path / "empty").path)


def with_a_broken_model(path: Path) -> SqlmeshProject:
    Project(path / "shop").write("models/orders.sql", BROKEN)
    return SqlmeshProject(path / "shop")


def with_an_unknown_gateway(path: Path) -> SqlmeshProject:
    return SqlmeshProject(path / "shop", gateway="nowhere")


def with_an_unknown_config(path: Path) -> SqlmeshProject:
    (path / "shop" / "config.yaml").unlink()
    (path / "shop" / "config.py").write_text(
        "from sqlmesh.core.config import Config\nconfig = Config()\n"
    )
    return SqlmeshProject(path / "shop", config="nowhere")


def without_its_dotenv(path: Path) -> SqlmeshProject:
    return SqlmeshProject(path / "shop", dotenv=path / ".env")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (nothing, "nowhere: the folder does not exist"),
        (no_project, "it contains no config.yaml"),
        (without_models, "empty has no models"),
        (with_a_broken_model, "Did you mean 'cron'?"),
        (with_an_unknown_gateway, "'nowhere'"),
        (with_an_unknown_config, "nowhere"),
        (without_its_dotenv, ".env does not exist"),
    ],
)
def test_an_invalid_project_is_a_one_line_error(
    wrong: Callable[[Path], SqlmeshProject], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError) as raised:
        build_sqlmesh_assets(project=wrong(tmp_path))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    trace = "".join(traceback.format_exception(raised.value))
    assert "direct cause" not in trace
    assert "another exception" not in trace


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"select": "shop.ordres"}, "did you mean shop.orders?"),
        ({"select": "tag:cor"}, "did you mean core?"),
        ({"exclude": "*"}, "select='*', exclude='*' leave no models"),
    ],
)
def test_a_selection_without_a_match_is_a_one_line_error(
    shop: Project, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UnknownModelError) as raised:
        build_sqlmesh_assets(project=SqlmeshProject(shop.path), **arguments)
    assert words in str(raised.value)


def test_a_project_needs_a_folder_and_knows_its_keywords() -> None:
    with pytest.raises(TypeError, match="SqlmeshProject requires the project's folder"):
        SqlmeshProject()
    with pytest.raises(TypeError, match="gatway"):
        SqlmeshProject("shop", gatway="local")  # type: ignore[call-arg]


def test_a_project_accepts_folders_one_by_one_and_as_a_list(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    expected = [str(folder) for folder in folders]
    assert SqlmeshProject(*folders).paths == expected
    assert SqlmeshProject(folders).paths == expected
    assert SqlmeshProject(paths=folders).paths == expected
    assert SqlmeshProject(tmp_path / "one").paths == SqlmeshProject(paths=expected[:1]).paths
    with pytest.raises(TypeError, match="requires the project's folder"):
        SqlmeshProject([])


@pytest.mark.parametrize("make", [sqlmesh_assets, build_sqlmesh_assets])
def test_a_folder_is_not_a_project(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="project must be a SqlmeshProject, not 'shop'"):
        make(project="shop")


def test_an_annotation_that_dagster_cannot_read_is_a_one_line_error() -> None:
    def warehouse(context: AssetExecutionContext) -> None:
        """Its annotation is known to type checkers only."""

    with pytest.raises(dg.DagsterInvalidDefinitionError) as raised:
        sqlmesh_assets(project=project(model("shop.orders")))(warehouse)
    assert str(raised.value) == (
        "an annotation of warehouse can't be read: name 'AssetExecutionContext' is not defined; "
        "Dagster needs the name at module level, not only in `if TYPE_CHECKING` or in another "
        "function"
    )


@pytest.mark.long
@pytest.mark.processes
def test_dagster_prints_the_line_and_where_the_assets_are_defined(
    shop: Project, tmp_path: Path
) -> None:
    shop.write("models/orders.sql", BROKEN)
    definitions = tmp_path / "definitions.py"
    definitions.write_text(
        "import dagster as dg\n"
        "from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets\n"
        f"shop = build_sqlmesh_assets(project=SqlmeshProject({str(shop.path)!r}))\n"
        "defs = dg.Definitions(assets=[shop])\n"
    )
    ran = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "dagster",
            "definitions",
            "validate",
            "-f",
            definitions,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DAGSTER_HOME": ""},
    )
    printed = ran.stdout + ran.stderr
    assert ran.returncode == 1
    assert f"ProjectError: the SQLMesh project {shop.path} can't be loaded" in printed
    assert "Did you mean 'cron'?" in printed
    assert "shop = build_sqlmesh_assets(" in printed
    assert "The above exception" not in printed
    assert "/sqlmesh/" not in printed

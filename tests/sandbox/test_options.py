"""The arguments of the marker: their meaning, and errors for invalid ones."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError
from pytest_sqlmesh_tracker.pytest_plugin.markers import MarkerError
from pytest_sqlmesh_tracker.sandbox.files.nearest import nearest_project
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions, project_options


def test_no_arguments_mean_the_defaults() -> None:
    nothing = dict.fromkeys(("path", "gateway", "at", "environment", "plan", "tick", "select"))
    assert project_options({}) == project_options(nothing) == ProjectOptions()


def test_equivalent_arguments_are_equal() -> None:
    one = project_options({"path": "a", "at": "2024-01-01 01:00", "setup": "raw.sql"})
    other = project_options(
        {
            "path": [Path("a")],
            "at": datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=1))),
            "setup": [Path("raw.sql")],
        }
    )
    assert one == other
    assert project_options({"at": date(2024, 1, 1)}) == project_options({"at": "2024-01-01"})


def test_variables_ignore_case_and_order() -> None:
    one = project_options({"variables": {"Region": "eu", "limit": 3}})
    other = project_options({"variables": {"limit": 3, "REGION": "eu"}})
    assert one == other


def test_the_order_of_arrivals_does_not_matter() -> None:
    columns = {"raw.a": "at", "raw.b": "seen_at"}
    one = project_options({"arrivals": columns})
    assert one == project_options({"arrivals": dict(reversed(columns.items()))})
    assert one != project_options({"arrivals": {**columns, "raw.b": "at"}})
    assert project_options({"arrivals": {}}) == ProjectOptions()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gatewy": "x"}, "has no argument 'gatewy': did you mean gateway?"),
        ({"zzz": 1}, "has no argument 'zzz': its arguments are path, gateway, at, environment"),
        ({"state": "old"}, "state must be 'fresh', 'keep' or 'empty', not 'old'"),
        ({"plan": "no"}, "plan must be True, False or 'partial', not 'no'"),
        ({"stub": {"a.b": 1}}, "stub: the data must be a list of mappings, a DataFrame, a file"),
        ({"arrivals": ["raw.a"]}, "arrivals must map names of tables to names of columns, as in"),
        ({"arrivals": {"raw.a": None}}, "{'raw.events': 'seen_at'}, not {'raw.a': None}"),
        ({"tick": 1}, "tick must be True or False, not 1"),
        ({"gateway": 3}, "gateway must be a name, not 3"),
        ({"environment": ["dev"]}, "environment must be a name, not ['dev']"),
        ({"variables": "a=1"}, "variables must be a mapping of names to values, not 'a=1'"),
        ({"path": 7}, "path must be a string or a path, or a list of them, not 7"),
        ({"select": [1]}, "select must be a string or a path, or a list of them, not [1]"),
        (
            {"at": "soon"},
            "'soon' is not a time: use an ISO string such as '2024-01-09 01:00' (UTC)",
        ),
    ],
)
def test_an_invalid_argument_is_reported_in_one_line(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((MarkerError, SandboxError)) as error:
        project_options(arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_nearest_project_upwards_is_used(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model_defaults: {dialect: duckdb}")
    shop = tmp_path / "warehouses" / "shop"
    (shop / "tests").mkdir(parents=True)
    test = shop / "tests" / "test_it.py"
    assert nearest_project(test, tmp_path) == str(tmp_path)
    (shop / "config.py").write_text("from sqlmesh.core.config import Config")
    assert nearest_project(test, tmp_path) == str(shop)


def test_a_config_of_another_tool_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("DEBUG = True")
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(SandboxError, match=r"no SQLMesh project found in .*sqlmesh_project"):
        nearest_project(tmp_path / "test_it.py", tmp_path)


def test_a_test_outside_of_the_root_folder_uses_the_root_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "config.yml").write_text("gateways: {}")
    assert nearest_project(tmp_path / "elsewhere" / "test_it.py", root) == str(root)


def test_a_project_above_the_root_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("gateways: {}")
    tests = tmp_path / "tests"
    tests.mkdir()
    assert nearest_project(tests / "test_it.py", tests) == str(tmp_path)

"""The package's public names: all exist, and each loads only what it needs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_sqlmesh_tracker

HEAVY = {"sqlmesh", "sqlglot", "dagster", "pandas", "pydantic", "rich", "duckdb", "pytest"}
PACKAGES = ["pytest_sqlmesh_tracker", "pytest_sqlmesh_tracker.dagster"]
PURE = ("outcomes", "models", "reports", "gate")

TRACKING = {"Tracker", "sqlmesh_run_tracker", "track_all"}
REPORTS = {"RunReport", "ModelOutcome", "Batch", "AuditOutcome", "Status", "Reason", "Cause"}
ASSERTIONS = {
    "assert_executed",
    "assert_skipped",
    "assert_failed",
    "assert_not_executed",
    "assert_only_executed",
    "assert_nothing_executed",
    "assert_audit_failed",
    "assert_outcomes",
    "assert_execution_order",
}
FILES = {"load_reports", "dump_reports"}
ERRORS = {"UnknownModelError", "NoReportError", "ProjectError"}
PREDICTIONS = {"why", "PredictedRun", "ModelNow"}
SANDBOX = {"Sandbox", "Sandboxes", "SandboxError", "SandboxWarning"}
FORECAST = {"Forecast", "ForecastRun"}
GATE = {"GatePolicy", "GatePolicyError", "GateResult", "GateRule", "GateTolerance"}


def python(code: str, *options: str) -> Any:
    """What the code prints as JSON, in a fresh Python."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are loaded after this code in a fresh Python."""
    tail = "import sys, json; print(json.dumps(list({name.split('.')[0] for name in sys.modules})))"
    return set(python(f"{code}\n{tail}"))


def test_all_public_names_are_listed() -> None:
    names = set(pytest_sqlmesh_tracker.__all__)
    groups = (TRACKING, REPORTS, FILES, ASSERTIONS, ERRORS, SANDBOX, GATE, PREDICTIONS, FORECAST)
    assert names == set().union(*groups)


@pytest.mark.parametrize("name", pytest_sqlmesh_tracker.__all__)
class TestEachName:
    def test_resolves_to_itself(self, name: str) -> None:
        value = getattr(pytest_sqlmesh_tracker, name)
        assert value.__name__ == name
        assert value.__module__.startswith("pytest_sqlmesh_tracker.")
        assert getattr(pytest_sqlmesh_tracker, name) is value

    def test_is_documented(self, name: str) -> None:
        assert getattr(pytest_sqlmesh_tracker, name).__doc__

    def test_resolves_again_after_it_was_deleted(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        value = getattr(pytest_sqlmesh_tracker, name)
        monkeypatch.delitem(vars(pytest_sqlmesh_tracker), name)
        assert getattr(pytest_sqlmesh_tracker, name) is value


def test_type_checkers_see_the_same_names() -> None:
    """They read the imports under `TYPE_CHECKING`, which never run."""
    tree = ast.parse(Path(str(pytest_sqlmesh_tracker.__file__)).read_text(encoding="utf-8"))
    (checked,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    modules = {}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "only `x as x` counts as exported"
            modules[alias.name] = f"pytest_sqlmesh_tracker.{node.module}"
    assert set(modules) == set(pytest_sqlmesh_tracker.__all__)
    for name, home in modules.items():
        assert getattr(pytest_sqlmesh_tracker, name) is getattr(sys.modules[home], name)


def test_dir_lists_a_name_once_it_is_resolved() -> None:
    code = """
import json, pytest_sqlmesh_tracker as p
before = dir(p)
p.Status
print(json.dumps([before, dir(p)]))
"""
    before, after = python(code)
    assert {"__all__", "__doc__", "__version__"} <= set(before)
    assert not set(before) & set(pytest_sqlmesh_tracker.__all__)
    assert set(after) & set(pytest_sqlmesh_tracker.__all__) == {"Status"}


@pytest.mark.processes
def test_all_names_can_be_imported_at_once() -> None:
    code = """
import json
from pytest_sqlmesh_tracker import *
print(json.dumps(sorted(name for name in globals() if not name.startswith("_"))))
"""
    assert set(python(code)) == {"json", *pytest_sqlmesh_tracker.__all__}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError) as caught:
        pytest_sqlmesh_tracker.assert_exploded  # noqa: B018
    assert str(caught.value) == "module 'pytest_sqlmesh_tracker' has no attribute 'assert_exploded'"
    assert not hasattr(pytest_sqlmesh_tracker, "__path_of_nothing__")
    with pytest.raises(ImportError):
        from pytest_sqlmesh_tracker import assert_exploded  # noqa: F401


def test_the_package_has_a_version() -> None:
    assert pytest_sqlmesh_tracker.__version__.count(".") == 2


class TestFreshProcess:
    def test_the_package_loads_nothing_heavy(self) -> None:
        assert not loaded_by("import pytest_sqlmesh_tracker") & HEAVY

    def test_inspecting_the_package_loads_nothing_heavy(self) -> None:
        code = "import pytest_sqlmesh_tracker as p; dir(p); p.__all__; hasattr(p, 'nonsense')"
        assert not loaded_by(code) & HEAVY

    @pytest.mark.parametrize(
        "package", ["pytest_sqlmesh_tracker", "pytest_sqlmesh_tracker.dagster"]
    )
    @pytest.mark.parametrize(
        "walk",
        [
            "[getattr(module, name) for name in dir(module)]",
            "import inspect; inspect.getmembers(module)",
            "import unittest.mock; unittest.mock.create_autospec(module)",
            "import doctest; doctest.DocTestFinder().find(module)",
            "import pydoc; pydoc.render_doc(module)",
            "import freezegun; freezegun.freeze_time('2024-01-20').start()",
        ],
    )
    def test_walking_through_modules_loads_nothing_heavy(self, walk: str, package: str) -> None:
        assert not loaded_by(f"import {package} as module\n{walk}") & HEAVY

    def test_pure_packages_load_no_sqlmesh(self) -> None:
        home = Path(str(pytest_sqlmesh_tracker.__file__)).parent
        files = [file for package in PURE for file in sorted((home / package).glob("*.py"))]
        names = [f"pytest_sqlmesh_tracker.{file.parent.name}.{file.stem}" for file in files]
        loaded = loaded_by("\n".join(f"import {name}" for name in names))
        assert not loaded & (HEAVY - {"pydantic"})

    def test_using_a_report_loads_nothing_heavy(self) -> None:
        code = """
from pytest_sqlmesh_tracker import RunReport, assert_nothing_executed
report = RunReport.from_json('''
    {"schema_version": 1, "command": "run", "environment": "prod", "completion": "success",
     "execution_time": "2024-01-14T00:00:00Z", "started_at": "2024-01-14T00:00:00Z",
     "finished_at": "2024-01-14T00:00:00Z", "outcomes": {"a.x": {"name": "a.x",
     "fqn": "\\\\"wh\\\\".\\\\"a\\\\".\\\\"x\\\\"", "kind": "full", "status": "skipped"}}}
''')
assert_nothing_executed(report)
assert report.explain("a.x")
"""
        assert not loaded_by(code) & (HEAVY - {"pydantic"})

    def test_tests_of_pure_packages_load_no_sqlmesh(self) -> None:
        root = Path(__file__).parents[2]
        packages = ("outcomes", "models", "wording", "reports", "gate", "render")
        files = [
            file for package in packages for file in (root / "tests" / package).rglob("test_*.py")
        ]
        names = [".".join(file.relative_to(root).with_suffix("").parts) for file in sorted(files)]
        code = "\n".join(f"import {name}" for name in names)
        loaded = loaded_by(f"import sys; sys.path.insert(0, {str(root)!r})\n{code}")
        assert "hypothesis" in loaded
        assert not loaded & {"sqlmesh", "sqlglot", "dagster", "duckdb"}

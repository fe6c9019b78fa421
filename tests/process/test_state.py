"""Changes of the process by loading a project, and how they are undone."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from sqlmesh.core.macros import macro
from sqlmesh.core.signal import signal

from pytest_sqlmesh_tracker.process.state import (
    ProcessSettings,
    ProjectModules,
    SettingsChanges,
    modules_in,
    process_state_restored,
    registries_without_projects,
)


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """With the folder's modules in front of all others, and forgotten afterwards."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in modules_in([folder]):
            del sys.modules[name]


def module(folder: Path, name: str, text: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)


class ImportsWhenCollected:
    """Garbage that only the collector finds, and that imports a module when it is collected."""

    def __init__(self, name: str) -> None:
        self.itself = self
        self.name = name

    def __del__(self) -> None:
        sys.modules[self.name] = ModuleType(self.name)


@pytest.mark.long
def test_modules_are_listed_while_finalizers_import_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many that Python must allocate memory to list them, which lets it collect garbage.
    many = {f"state_many_{number}": ModuleType("many") for number in range(6000)}
    monkeypatch.setattr(sys, "modules", {**sys.modules, **many})
    before, threshold = len(sys.modules), gc.get_threshold()
    try:
        for number in range(100):
            ImportsWhenCollected(f"state_collected_{number}")
            gc.set_threshold(1 + number)
            assert modules_in([tmp_path]) == {}
    finally:
        gc.set_threshold(*threshold)
    assert len(sys.modules) > before


class TestRestoring:
    def test_environment_variables(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("STATE_KEPT", "before")
        monkeypatch.setenv("STATE_REMOVED", "before")
        with process_state_restored([tmp_path]):
            os.environ.update(STATE_KEPT="after", STATE_ADDED="after")
            del os.environ["STATE_REMOVED"]
        assert os.environ["STATE_KEPT"] == os.environ["STATE_REMOVED"] == "before"
        assert "STATE_ADDED" not in os.environ

    def test_the_path_and_only_the_modules_of_the_project(self, tmp_path: Path) -> None:
        module(tmp_path / "project", "state_of_project")
        module(tmp_path / "elsewhere", "state_of_others")
        before = list(sys.path)
        with importable(tmp_path / "elsewhere"):
            with process_state_restored([tmp_path / "project"]):
                sys.path.insert(0, str(tmp_path / "project"))
                importlib.invalidate_caches()
                importlib.import_module("state_of_project")
                importlib.import_module("state_of_others")
            assert "state_of_project" not in sys.modules
            assert "state_of_others" in sys.modules
        assert sys.path == before

    def test_a_module_with_the_same_name_as_one_of_the_project(self, tmp_path: Path) -> None:
        module(tmp_path / "tests", "state_config")
        with importable(tmp_path / "tests"):
            own = importlib.import_module("state_config")
            with process_state_restored([tmp_path / "project"]):
                sys.modules["state_config"] = ModuleType("state_config")
            assert sys.modules["state_config"] is own

    def test_registries_of_sqlmesh(self, tmp_path: Path) -> None:
        with process_state_restored([tmp_path]):
            signal("state_signal")(lambda batch: batch)
            macro("state_macro")(lambda evaluator: evaluator)
            assert "state_signal" in signal.get_registry()
            assert "state_macro" in macro.get_registry()
        assert "state_signal" not in signal.get_registry()
        assert "state_macro" not in macro.get_registry()

    def test_no_bytecode_is_written(self, tmp_path: Path) -> None:
        module(tmp_path, "state_without_bytecode")
        with process_state_restored([tmp_path]), importable(tmp_path):
            importlib.import_module("state_without_bytecode")
        assert not (tmp_path / "__pycache__").exists()

    def test_everything_after_an_error(self, tmp_path: Path) -> None:
        before = list(sys.path), dict(os.environ), sys.dont_write_bytecode

        def break_down() -> None:
            with process_state_restored([tmp_path]):
                sys.path.append(str(tmp_path))
                os.environ["STATE_ADDED"] = "after"
                raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            break_down()
        assert (list(sys.path), dict(os.environ), sys.dont_write_bytecode) == before


def test_a_project_does_not_see_macros_of_an_earlier_one(tmp_path: Path) -> None:
    def of_project(evaluator: object) -> object:
        return evaluator

    of_project.__module__ = "macros.state"
    with process_state_restored([tmp_path]):
        macro("state_left")(of_project)
        with registries_without_projects():
            assert "state_left" not in macro.get_registry()
            assert "each" in macro.get_registry()
        assert "state_left" in macro.get_registry()


class TestSettings:
    def test_only_changes_are_applied_and_then_removed(self, tmp_path: Path) -> None:
        before = ProcessSettings.current()
        with process_state_restored([tmp_path]):
            os.environ["STATE_ADDED"] = "by the project"
            sys.path[:] = ["/first", *sys.path, "/last"]
            changes = ProcessSettings.current().changes_since(before)
        assert changes == SettingsChanges(
            {"STATE_ADDED": "by the project"}, ("/first",), ("/last",)
        )
        with changes.applied():
            assert os.environ["STATE_ADDED"] == "by the project"
            assert sys.path == ["/first", *before.path, "/last"]
        assert "STATE_ADDED" not in os.environ
        assert tuple(sys.path) == before.path

    def test_replaced_settings_are_restored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STATE_KEPT", "before")
        before = list(sys.path)
        with SettingsChanges({"STATE_KEPT": "meanwhile"}, (sys.path[0],)).applied():
            assert os.environ["STATE_KEPT"] == "meanwhile"
            assert sys.path == before
        assert os.environ["STATE_KEPT"] == "before"
        assert sys.path == before


class TestProjectModules:
    def test_modules_hide_others_until_they_are_removed(self, tmp_path: Path) -> None:
        module(tmp_path / "tests", "state_macros")
        modules, of_project = ProjectModules(), ModuleType("state_macros")
        with importable(tmp_path / "tests"):
            own = importlib.import_module("state_macros")
            modules.install({"state_macros": of_project})
            assert sys.modules["state_macros"] is of_project
            assert modules.installed == {"state_macros": of_project}
            modules.remove()
            assert sys.modules["state_macros"] is own
            assert modules.installed == {}

    def test_modules_that_a_copy_imports_are_installed(self, tmp_path: Path) -> None:
        module(tmp_path / "copy", "state_helpers", "ORIGIN = 'copy'")
        modules = ProjectModules()
        with importable(tmp_path / "copy"):
            with modules.imported_from(tmp_path / "copy"):
                importlib.import_module("state_helpers")
            assert sys.modules["state_helpers"].ORIGIN == "copy"
            assert modules.installed.keys() == {"state_helpers"}
            modules.remove()
            assert "state_helpers" not in sys.modules

    def test_modules_that_a_configuration_imports_are_removed(self, tmp_path: Path) -> None:
        module(tmp_path / "user", "state_settings")
        modules = ProjectModules()
        with importable(tmp_path / "user"):
            own = importlib.import_module("state_settings")
            with modules.configured_from([tmp_path / "user"]):
                assert importlib.import_module("state_settings") is not own
            assert sys.modules["state_settings"] is own

"""The doctor, on the installed SQLMesh and on one that the test changes."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest
import sqlmesh
from sqlmesh.core import analytics, console, scheduler
from sqlmesh.core.analytics.collector import AnalyticsCollector
from sqlmesh.core.analytics.dispatcher import NoopEventDispatcher
from sqlmesh.core.console import Console, TerminalConsole, get_console
from sqlmesh.core.context import GenericContext
from sqlmesh.core.snapshot import Snapshot, SnapshotEvaluator

from pytest_sqlmesh_tracker import track_all
from pytest_sqlmesh_tracker.doctor import contract, doctor, trial
from pytest_sqlmesh_tracker.doctor.diagnosis import Check, Diagnosis
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS
from tests.builders import executed, failed, run, skipped, unknown
from tests.versions import targets

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sound() -> Diagnosis:
    """Of what is installed, as it is."""
    return doctor.diagnose()


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """To change SQLMesh; the tracker meets it for the first time."""
    compat._interface.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    compat._interface.cache_clear()


def check(diagnosis: Diagnosis, name: str) -> Check:
    """The one check of this name."""
    (only,) = [check for check in diagnosis.checks if check.name == name]
    return only


def problems(diagnosis: Diagnosis) -> dict[str, str]:
    return {check.name: check.detail for check in diagnosis.checks if check.level == "problem"}


class TestAsInstalled:
    @pytest.mark.long
    def test_tracking_works(self, sound: Diagnosis) -> None:
        assert problems(sound) == {}
        assert not sound.degraded
        assert [check.name for check in sound.checks] == [
            *("pytest-sqlmesh-tracker", "Python", "SQLMesh", "DuckDB", "pandas"),
            *("console", "internals", "trial"),
        ]

    def test_installed_versions_are_reported(self, sound: Diagnosis) -> None:
        assert check(sound, "DuckDB").detail == duckdb.__version__
        python = ".".join(map(str, sys.version_info[:2]))
        assert check(sound, "Python").detail == f"{python}, in the tested range 3.10 to 3.13"

    def test_the_diagnosis_is_plain_data(self, sound: Diagnosis) -> None:
        data = json.loads(json.dumps(sound.to_dict()))
        assert data["degraded"] is False
        assert data["checks"][-1] == {
            "name": "trial",
            "level": "ok",
            "detail": "the reports on a small project that was planned and run are correct",
            "concern": "",
        }

    def test_the_tested_range_matches_the_tests(self) -> None:
        assert targets.TARGETS[0].sqlmesh == doctor.OLDEST
        assert {f"{name}{below}" for name, below in doctor.CEILINGS.items()} == set(targets.OLD)
        table = (ROOT / "docs/versions-and-cost.md").read_text()
        tested = re.findall(r"^\| (0\.\d+\.\d+) \|", table, re.MULTILINE)
        assert (tested[0], tested[-1]) == (doctor.OLDEST, doctor.NEWEST)

    def test_the_tested_pythons_match_the_package_metadata(self) -> None:
        minor_versions = re.findall(r"Python :: 3\.(\d+)", (ROOT / "pyproject.toml").read_text())
        assert (3, int(minor_versions[0])) == doctor.OLDEST_PYTHON
        assert (3, int(minor_versions[-1])) == doctor.NEWEST_PYTHON


class TestVersions:
    @pytest.mark.long
    @pytest.mark.parametrize(("bound", "value"), [("NEWEST", "0.205.0"), ("OLDEST", "98.0")])
    def test_an_untested_sqlmesh_is_a_warning(
        self, monkeypatch: pytest.MonkeyPatch, bound: str, value: str
    ) -> None:
        monkeypatch.setattr(doctor, bound, value)
        diagnosis = doctor.diagnose()
        assert check(diagnosis, "SQLMesh").level == "warning"
        assert "outside the tested range" in check(diagnosis, "SQLMesh").detail
        assert not diagnosis.degraded

    @pytest.mark.long
    def test_an_untested_python_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "NEWEST_PYTHON", (3, 9))
        assert check(doctor.diagnose(), "Python").level == "warning"


def install(folder: Path, name: str, version: str, *requirements: str) -> None:
    """Let a package seem to be installed, in a folder that Python looks into first."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requirements)]
    (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


class TestRequirementsOfSqlmesh:
    @pytest.fixture
    def packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    @pytest.mark.long
    @pytest.mark.parametrize(
        ("name", "shown", "required"),
        [("duckdb", "DuckDB", "<2,>=0.10.0"), ("pandas", "pandas", "<3")],
    )
    def test_known_incompatibilities_of_old_versions_are_problems(
        self, packages: Path, name: str, shown: str, required: str
    ) -> None:
        install(packages, "sqlmesh", "0.206.0", "duckdb>=0.10.0", "pandas")
        install(packages, name, "5.0.0")
        diagnosis = doctor.diagnose()
        assert diagnosis.degraded
        needed = f"5.0.0 is incompatible with SQLMesh 0.206.0, which needs {required}"
        assert problems(diagnosis) == {shown: needed}

    @pytest.mark.long
    def test_requirements_of_later_versions_are_checked(self, packages: Path) -> None:
        install(packages, "sqlmesh", "0.300.0", "duckdb>=2", "pandas")
        install(packages, "pandas", "3.1.0")
        diagnosis = doctor.diagnose()
        needed = "is incompatible with SQLMesh 0.300.0, which needs >=2"
        assert problems(diagnosis) == {"DuckDB": f"{duckdb.__version__} {needed}"}
        assert check(diagnosis, "pandas").detail == "3.1.0"

    @pytest.mark.long
    def test_other_unmet_requirements_are_warnings(self, packages: Path) -> None:
        install(
            packages,
            *("sqlmesh", "0.300.0", "Not_There", "sqlglot<1"),
            *('far-away; extra == "far"', 'later; python_version > "9"'),
        )
        checks = doctor.diagnose().checks
        warned = {check.name: check.detail for check in checks if check.level == "warning"}
        assert warned.keys() == {"SQLMesh", "not-there", "sqlglot"}
        assert warned["not-there"] == "not installed; SQLMesh 0.300.0 needs it"
        assert "is incompatible with SQLMesh 0.300.0, which needs <1" in warned["sqlglot"]


class TestWithoutSqlmesh:
    def test_sqlmesh_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", [])
        diagnosis = doctor.diagnose()
        assert problems(diagnosis) == {"SQLMesh": "not installed"}
        assert diagnosis.checks[-1].name == "SQLMesh"

    def test_sqlmesh_is_partially_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sqlmesh", None)
        (detail,) = problems(doctor.diagnose()).values()
        assert detail.startswith("ModuleNotFoundError: ")

    def test_sqlmesh_cannot_be_imported(self, tmp_path: Path) -> None:
        (tmp_path / "sqlmesh.py").write_text("raise ImportError('half of it\\nis missing')")
        code = """
import json
from pytest_sqlmesh_tracker.doctor.doctor import diagnose
print(json.dumps(diagnose().to_dict()))
"""
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )
        printed = json.loads(ran.stdout)
        assert printed["degraded"] is True
        assert printed["checks"][-1]["name"] == "SQLMesh"
        assert printed["checks"][-1]["detail"] == "ImportError: half of it is missing"
        assert ran.stderr == ""


class TestAnotherConsole:
    @pytest.mark.long
    def test_a_method_is_missing(self, changed: pytest.MonkeyPatch) -> None:
        changed.delattr(Console, "log_skipped_models")
        diagnosis = doctor.diagnose()
        gone = check(diagnosis, "Console.log_skipped_models")
        assert gone.level == "problem"
        assert gone.detail == "does not exist (no 'log_skipped_models')"
        assert gone.concern == "`upstream_failed` (Round.skipped)"
        assert "the tracker failed on log_skipped_models" in problems(diagnosis)["trial"]
        assert diagnosis.degraded

    @pytest.mark.long
    def test_a_parameter_that_is_read_was_renamed(self, changed: pytest.MonkeyPatch) -> None:
        def renamed(
            self: Any,
            snapshot: Any,
            interval: Any,
            batch_number: int,
            duration_ms: int | None,
            num_audits_passed: int,
            num_audits_failed: int,
            audit_only: bool = False,
        ) -> None: ...

        changed.setattr(Console, "update_snapshot_evaluation_progress", renamed)
        diagnosis = doctor.diagnose()
        name = "Console.update_snapshot_evaluation_progress"
        levels = {check.level: check.detail for check in diagnosis.checks if check.name == name}
        assert levels == {
            "problem": "has no parameter batch_idx",
            "warning": "has new parameters: batch_number",
        }
        assert "unknown" in problems(diagnosis)["trial"]

    @pytest.mark.long
    def test_the_terminals_console_differs(self, changed: pytest.MonkeyPatch) -> None:
        def log_failed_models(self: Any, failures: Any) -> None: ...

        changed.setattr(TerminalConsole, "log_failed_models", log_failed_models)
        by_name = problems(doctor.diagnose())
        assert by_name == {"TerminalConsole.log_failed_models": "has no parameter errors"}

    @pytest.mark.long
    def test_the_terminals_console_may_inherit_methods(self, changed: pytest.MonkeyPatch) -> None:
        changed.delattr(TerminalConsole, "start_plan_evaluation")
        assert problems(doctor.diagnose()) == {}

    @pytest.mark.long
    def test_the_console_class_is_missing(self, changed: pytest.MonkeyPatch) -> None:
        changed.delattr(console, "Console")
        by_name = problems(doctor.diagnose())
        assert {f"Console.{event}" for event in CONSOLE_EVENTS} <= by_name.keys()
        assert by_name["Console.log_failed_models"] == "does not exist (no 'Console')"

    @pytest.mark.long
    def test_a_console_with_any_parameters_is_accepted(self, changed: pytest.MonkeyPatch) -> None:
        def log_failed_models(self: Any, **kwargs: Any) -> None: ...

        changed.setattr(TerminalConsole, "log_failed_models", log_failed_models)
        assert problems(doctor.diagnose()) == {}

    @pytest.mark.long
    def test_new_parameters_and_methods_are_warnings(self, changed: pytest.MonkeyPatch) -> None:
        def stop_evaluation_progress(self: Any, success: bool = True, why: str = "") -> None: ...
        def log_interrupted_models(self: Any, names: Any) -> None: ...

        changed.setattr(Console, "stop_evaluation_progress", stop_evaluation_progress)
        changed.setattr(Console, "log_interrupted_models", log_interrupted_models, raising=False)
        diagnosis = doctor.diagnose()
        warned = [check for check in diagnosis.checks if check.name.startswith("Console.")]
        assert [(check.name, check.level, check.detail) for check in warned] == [
            ("Console.stop_evaluation_progress", "warning", "has new parameters: why"),
            ("Console.log_interrupted_models", "warning", "is new and not handled"),
        ]
        assert not diagnosis.degraded


class TestOtherInternals:
    def test_a_function_is_missing(self, changed: pytest.MonkeyPatch) -> None:
        changed.delattr(scheduler, "interval_diff")
        details = problems(doctor.diagnose())
        assert details["interval_diff"] == "does not exist (no 'interval_diff')"

    def test_a_function_has_other_parameters(self, changed: pytest.MonkeyPatch) -> None:
        def interval_diff(*, of: Any, without: Any, uninterrupted: bool = False) -> Any: ...

        changed.setattr(scheduler, "interval_diff", interval_diff)
        (check,) = [c for c in doctor.diagnose().checks if c.name == "interval_diff"]
        assert check.detail.startswith("can't be called with 2 arguments: ")
        assert re.search(r" \(\S+ in tracking/reasons/\w+\.py\)$", check.concern)

    def test_a_method_has_another_signature(self, changed: pytest.MonkeyPatch) -> None:
        def missing_intervals(self: Any, start: Any, end: Any, now: Any = None) -> Any: ...

        changed.setattr(Snapshot, "missing_intervals", missing_intervals)
        (change,) = contract.changes_elsewhere()
        assert change.name == "Snapshot.missing_intervals"
        assert "unexpected keyword argument 'execution_time'" in change.what
        assert change.concern == "Every inferred reason, and next_due."

    def test_a_handled_method_lacks_parameters(self, changed: pytest.MonkeyPatch) -> None:
        def audit(self: Any, snapshot: Any, *, snapshots: Any, window: Any) -> Any: ...

        changed.setattr(SnapshotEvaluator, "audit", audit)
        changes = list(contract.changes_elsewhere())
        assert [change.what for change in changes] == ["has no parameter start, end"]

    def test_a_variable_that_explains_errors_is_missing(self, changed: pytest.MonkeyPatch) -> None:
        def _execute_create(self: Any, snapshot: Any, name: Any) -> Any: ...

        changed.setattr(SnapshotEvaluator, "_execute_create", _execute_create)
        (change,) = contract.changes_elsewhere()
        assert change.what == "has no variable table_name"
        assert change.concern == "which table could not be created (creation_step)"

    @pytest.mark.parametrize(("installed", "missing"), [("0.206.0", 0), ("0.210.0", 1)])
    def test_newer_functions_are_not_required_of_older_versions(
        self, changed: pytest.MonkeyPatch, installed: str, missing: int
    ) -> None:
        changed.delattr(SnapshotEvaluator, "_migrate_target_table", raising=False)
        changed.setattr(sqlmesh, "__version__", installed)
        names = [change.name for change in contract.changes_elsewhere()]
        assert names.count("SnapshotEvaluator._migrate_target_table") == missing

    @pytest.mark.long
    def test_a_module_is_missing(self, changed: pytest.MonkeyPatch) -> None:
        changed.setitem(sys.modules, "sqlmesh.core.plan.stages", None)
        details = problems(doctor.diagnose())
        assert details["RestatementStage.__dataclass_fields__"].startswith("can't be imported: ")

    def test_a_method_that_tracking_replaces_is_inherited(
        self, changed: pytest.MonkeyPatch
    ) -> None:
        changed.delattr(GenericContext, "run")
        by_name = problems(doctor.diagnose())
        assert by_name["GenericContext.run"] == "is not defined in the class"
        assert by_name["trial"].startswith("KeyError: ")


class TestTheTrial:
    def test_the_trial_leaves_everything_unchanged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("home", "here", "temporary"):
            (tmp_path / name).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

        def state() -> tuple[Any, ...]:
            return (
                get_console(),
                analytics.collector,
                logging.root.manager.disable,
                [*warnings.filters],
                dict(os.environ),
                [*sys.path],
                {name: vars(GenericContext)[name] for name in ("run", "plan", "create_scheduler")},
            )

        before = state()
        with track_all() as tracker:
            assert trial.mistakes() == []
        assert state() == before
        assert tracker.reports == []
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
        assert capfd.readouterr() == ("", "")

    def test_the_trial_sends_no_analytics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Kept(NoopEventDispatcher):
            calls: ClassVar[list[str]] = []

            def add_event(self, event: dict[str, Any]) -> None:
                self.calls.append(str(event))

            def shutdown(self, flush: bool = True) -> None:
                self.calls.append(f"shutdown, flush={flush}")

        collector = AnalyticsCollector(dispatcher=Kept())
        monkeypatch.setattr(analytics, "collector", collector)
        assert trial.mistakes() == []
        assert Kept.calls == []
        assert analytics.collector is collector

    def test_an_error_of_sqlmesh_is_one_line_without_secrets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: Any, **__: Any) -> None:
            raise duckdb.IOException("can't open\npostgresql://etl:hunter2@db")

        monkeypatch.setattr(duckdb, "connect", refused)
        (line,) = problems(doctor.diagnose()).values()
        assert line == "IOException: can't open postgresql://etl:***@db"

    def test_a_wrong_report_is_a_mistake(self) -> None:
        names = ("daily", "weekly", "broken", "below", "audited")
        planned = run(*(executed(f"trial.{name}") for name in names), command="plan")
        ran = run(
            executed("trial.daily"),
            skipped("trial.weekly", "up_to_date"),
            failed("trial.broken", "error"),
            unknown("trial.below", "a fault"),
        )
        assert list(trial.mistakes_in([planned, ran])) == [
            "the run reports trial.weekly as up_to_date, not cron_not_due",
            "the run reports trial.below as unknown: a fault, not upstream_failed",
            "the run reports trial.audited as not listed, not audit_failed",
        ]

    @pytest.mark.parametrize("commands", [(), ("plan",)])
    def test_an_invocation_that_is_not_reported_is_a_mistake(
        self, commands: tuple[str, ...]
    ) -> None:
        (mistake,) = trial.mistakes_in([run(command=command) for command in commands])
        reported = ", ".join(commands) or "none"
        assert mistake == f"expected reports of a plan and a run, found: {reported}"

    def test_several_mistakes_are_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial, "mistakes", lambda: ["the first", "the second", "the third"])
        result = check(doctor.diagnose(), "trial")
        assert (result.level, result.detail) == ("problem", "the first (and 2 more)")

"""Checks that tracking works with the installed packages, and what a project has that limits it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.version import __version__

from . import contract, crons, trial
from .diagnosis import Check, Diagnosis, Level

OLDEST, NEWEST = "0.206.0", "0.236.4"
"""The range of SQLMesh versions that the tracker is tested with, both inclusive."""
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
CEILINGS = {"duckdb": "<2", "pandas": "<3"}
"""What these SQLMesh versions require, including those that do not declare it."""
_SHOWN = {"duckdb": "DuckDB", "pandas": "pandas"}


def diagnose(project: ProjectLocation | None = None) -> Diagnosis:
    """Run all checks. This takes a few seconds and never raises.

    Only a project's files are read, and neither its state nor its warehouse.

    An untested SQLMesh version is a warning: the checks that follow show whether it changed
    anything that concerns the tracker.
    """
    return Diagnosis(tuple(_checks(project)))


def _checks(project: ProjectLocation | None) -> Iterator[Check]:
    yield Check("pytest-sqlmesh-tracker", "ok", __version__)
    yield _python(sys.version_info[:2])
    try:
        sqlmesh = version("sqlmesh")
    except PackageNotFoundError:
        yield Check("SQLMesh", "problem", "not installed")
        return
    installed = (_sqlmesh(sqlmesh), _requirements(sqlmesh), _console(), _internals(), _trial())
    for checks in (*installed, *([crons.checks(project)] if project else [])):
        try:
            yield from checks
        except Exception as error:
            # Usually SQLMesh can't be imported, so nothing more can be checked.
            yield Check("SQLMesh", "problem", _line(error))
            return


def _python(installed: tuple[int, ...]) -> Check:
    tested = OLDEST_PYTHON <= installed <= NEWEST_PYTHON
    return _version("Python", ".".join(map(str, installed)), tested, "3.10 to 3.13")


def _sqlmesh(installed: str) -> Iterator[Check]:
    tested = Version(OLDEST) <= Version(installed) <= Version(NEWEST)
    yield _version("SQLMesh", installed, tested, f"{OLDEST} to {NEWEST}")


def _version(name: str, installed: str, tested: bool, versions: str) -> Check:
    if tested:
        return Check(name, "ok", f"{installed}, in the tested range {versions}")
    return Check(name, "warning", f"{installed}, outside the tested range {versions}")


def _requirements(sqlmesh: str) -> Iterator[Check]:
    """Checks of what SQLMesh requires; other packages are listed only if they do not fit."""
    declared: dict[str, SpecifierSet] = {
        canonicalize_name(requirement.name): requirement.specifier
        for requirement in map(Requirement, requires("sqlmesh") or ())
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    for name in sorted(declared.keys() | CEILINGS.keys()):
        fits = _fits(name, declared.get(name, SpecifierSet()), sqlmesh)
        if fits.level != "ok" or name in CEILINGS:
            yield fits


def _fits(name: str, required: SpecifierSet, sqlmesh: str) -> Check:
    bounded = any(specifier.operator in ("<", "<=", "==", "~=") for specifier in required)
    if name in CEILINGS and not bounded and Version(sqlmesh) <= Version(NEWEST):
        required &= SpecifierSet(CEILINGS[name])
    # SQLMesh can work without the others: the trial shows whether it does.
    level: Level = "problem" if name in CEILINGS else "warning"
    shown = _SHOWN.get(name, name)
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Check(shown, level, f"not installed; SQLMesh {sqlmesh} needs it")
    if required.contains(installed, prereleases=True):
        return Check(shown, "ok", installed)
    return Check(
        shown, level, f"{installed} is incompatible with SQLMesh {sqlmesh}, which needs {required}"
    )


def _console() -> Iterator[Check]:
    with warnings.catch_warnings():
        # Warnings on import do not concern the user.
        warnings.simplefilter("ignore")
        import_module("sqlmesh")
    changed = [*_checks_of_changes("problem", contract.changes_of_console())]
    changed += _checks_of_changes("warning", contract.news_of_console())
    number = len(CONSOLE_EVENTS)
    detail = f"SQLMesh has all {number} methods that the tracker handles"
    yield from changed or [Check("console", "ok", detail)]


def _internals() -> Iterator[Check]:
    changed = list(_checks_of_changes("problem", contract.changes_elsewhere()))
    yield from changed or [
        Check("internals", "ok", "SQLMesh has everything that the tracker calls or replaces")
    ]


def _checks_of_changes(level: Level, changes: Iterable[contract.ContractChange]) -> Iterator[Check]:
    return (Check(change.name, level, change.what, change.concern) for change in changes)


def _trial() -> Iterator[Check]:
    try:
        wrong = trial.mistakes()
    except Exception as error:
        wrong = [_line(error)]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield Check("trial", "problem", wrong[0] + more, "every report")
    else:
        yield Check(
            "trial", "ok", "the reports on a small project that was planned and run are correct"
        )


def _line(error: Exception) -> str:
    return " ".join(redacted(described(error)).split())

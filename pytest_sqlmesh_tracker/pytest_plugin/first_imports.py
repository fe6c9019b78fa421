"""Modules that must be imported before a test that tracks SQLMesh freezes the clock."""

from __future__ import annotations

import warnings
from contextlib import suppress
from importlib import import_module

from pytest_sqlmesh_tracker.process.frozen import check_imported, is_frozen, is_used

# SQLMesh imports pandas when it loads a project; under a frozen clock, the import never ends.
_MODULES = (
    "pandas",
    "pytest_sqlmesh_tracker.pytest_plugin.strict",
    "pytest_sqlmesh_tracker.tracking.reasons.reporting",
    "pytest_sqlmesh_tracker.tracking.tracker",
)


def check_tracked_tests() -> None:
    """Reject tracking SQLMesh for the first time under a frozen clock.

    Raises:
        FrozenClockError: the clock is frozen, and the required modules have not been imported.
    """
    check_imported(*_MODULES)


def import_for_tracked_tests() -> None:
    """Import the modules that tracked tests need, before one of them freezes the clock.

    It does so only if freezegun is in use. A failed import is the error of the test that needs it.
    """
    if not is_used() or is_frozen():
        return
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for module in _MODULES:
            import_module(module)

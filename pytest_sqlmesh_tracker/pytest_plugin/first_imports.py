"""What tests that track SQLMesh import first, before one of them freezes the clock."""

from __future__ import annotations

import warnings
from contextlib import suppress
from importlib import import_module

from pytest_sqlmesh_tracker.process.frozen import check_imported, is_frozen, is_used

# SQLMesh imports pandas when it loads a project; under a frozen clock that never ends.
_MODULES = (
    "pandas",
    "pytest_sqlmesh_tracker.pytest_plugin.strict",
    "pytest_sqlmesh_tracker.tracking.reasons.reporting",
    "pytest_sqlmesh_tracker.tracking.tracker",
)


def check_tracked_tests() -> None:
    """Reject to track SQLMesh for the first time under a frozen clock.

    Raises:
        FrozenClockError: the clock is frozen, and what this needs has not been imported.
    """
    check_imported(*_MODULES)


def import_for_tracked_tests() -> None:
    """Import what tests that track SQLMesh need, before one of them freezes the clock.

    Only where freezegun is in use. What can't be imported is the error of the test that needs it.
    """
    if not is_used() or is_frozen():
        return
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for module in _MODULES:
            import_module(module)

"""The configuration of a pytest session, and the stash keys of sessions and tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .settings import setting
from .tries import Tries

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.gate import GatePolicy
    from pytest_sqlmesh_tracker.reports.report import RunReport

    from .strict import StrictTest

TRIES = pytest.StashKey[Tries]()


STRICT = pytest.StashKey[bool]()


STARTED = pytest.StashKey[float]()
"""When the session began, in seconds since the epoch."""


TODAY = pytest.StashKey[date]()


POLICY = pytest.StashKey["GatePolicy"]()


DESELECTED = pytest.StashKey[bool]()


RETURNED: pytest.StashKey[list[RunReport]] = pytest.StashKey()
"""The reports that sandboxes have returned since the test began, without an exception."""


def strict_test(item: pytest.Item) -> StrictTest | None:
    """The strict mode of a test; None if the test is not strict.

    Raises:
        MarkerError: the arguments of its markers are not valid.
        UsageError: the gate policy is not valid.
    """
    from .markers import marker_arguments

    by_default = item.config.stash[STRICT]
    arguments = marker_arguments(item, "sqlmesh_tracker", "strict", "allow_skips")
    if not (arguments or by_default):
        return None
    from .strict import StrictTest, strict_options

    strict, allowed = strict_options(arguments)
    if not (by_default if strict is None else strict):
        return None
    return StrictTest(policy(item.config), allowed, item.config.stash[TODAY])


def policy(config: pytest.Config) -> GatePolicy:
    """The gate policy of the root folder, read once."""
    from pytest_sqlmesh_tracker.gate import GatePolicy

    if POLICY not in config.stash:
        try:
            config.stash[POLICY] = GatePolicy.nearest(config.rootpath)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[POLICY]


def is_worker(config: pytest.Config) -> bool:
    """Whether the configuration is that of an xdist worker."""
    return hasattr(config, "workerinput")


def report_paths(config: pytest.Config) -> list[Path]:
    """The files to write reports to."""
    paths = setting(config, "report")
    if not paths:
        return []
    from pytest_sqlmesh_tracker.render.files import checked_path

    by_option = config.getoption("sqlmesh_tracker_report")
    folder = config.invocation_params.dir if by_option else config.rootpath
    try:
        return list(dict.fromkeys(checked_path(folder / path) for path in paths))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"sqlmesh_tracker_report: {error}") from None

"""What a session of pytest is configured to do, and what tests keep of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .settings import setting
from .tries import Tries

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.gate import GatePolicy

    from .strict import StrictTest

TRIES = pytest.StashKey[Tries]()


STRICT = pytest.StashKey[bool]()


TODAY = pytest.StashKey[date]()


POLICY = pytest.StashKey["GatePolicy"]()


DESELECTED = pytest.StashKey[bool]()


def strict_test(item: pytest.Item) -> StrictTest | None:
    """By what a test is judged; None if it is not in strict mode.

    Raises:
        MarkerError: its markers can't be meant.
        UsageError: the gate policy can't.
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
    """Whether it is the configuration of a worker of xdist."""
    return hasattr(config, "workerinput")


def report_paths(config: pytest.Config) -> list[Path]:
    """The files that reports are to be written to."""
    paths = setting(config, "report")
    if not paths:
        return []
    from pytest_sqlmesh_tracker.render.files import checked_path

    by_option = config.getoption("sqlmesh_tracker_report")
    folder = config.invocation_params.dir if by_option else config.rootpath
    try:
        return list(dict.fromkeys(checked_path(folder / path) for path in paths))
    except ValueError as error:
        raise pytest.UsageError(f"sqlmesh_tracker_report: {error}") from None

"""Alongside other plugins, the plugin does not change sessions that do not use it.

These are the cheap sessions; `make neighbours` runs all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .sessions import differences
from .suites import CHEAP, FREEZEGUN, Neighbour


@pytest.mark.parametrize("neighbour", CHEAP, ids=lambda neighbour: neighbour.name)
def test_the_plugin_changes_nothing(neighbour: Neighbour, tmp_path: Path) -> None:
    assert differences(neighbour, tmp_path) == []


def test_the_plugin_changes_nothing_under_xdist(tmp_path: Path) -> None:
    assert differences(FREEZEGUN, tmp_path, workers=2) == []

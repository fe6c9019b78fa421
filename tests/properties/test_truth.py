"""Every report of a scene, and of a drawn history, is true."""

from __future__ import annotations

from functools import partial

import pytest

from tests.properties.drawing.histories import histories
from tests.properties.drawing.scenes import SCENES

from .examples import Shard, assert_holds, draw_each, sharded
from .judging import violations


@pytest.mark.parametrize("scene", SCENES)
def test_reports_of_a_scene_are_true(scene: str) -> None:
    assert_holds(violations, SCENES[scene])


@sharded("SQLMESH_TRACKER_HISTORIES", 4)
@pytest.mark.long
def test_reports_of_drawn_histories_are_true(shard: Shard) -> None:
    draw_each(histories(), shard, partial(assert_holds, violations))

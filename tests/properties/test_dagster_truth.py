"""What Dagster records of a scene, and of a drawn history, is true."""

from __future__ import annotations

from functools import partial

import pytest

from tests.properties.drawing.dagster.requests import dagster_histories
from tests.properties.drawing.dagster.scenes import SCENES

from .dagster_judging import violations
from .examples import Shard, assert_holds, draw_each, sharded


@pytest.mark.parametrize("scene", SCENES)
def test_events_of_a_scene_are_true(scene: str) -> None:
    assert_holds(violations, SCENES[scene])


@sharded("SQLMESH_TRACKER_DAGSTER_HISTORIES", 2)
@pytest.mark.long
def test_events_of_drawn_histories_are_true(shard: Shard) -> None:
    draw_each(dagster_histories(), shard, partial(assert_holds, violations))

"""What is forecast after a drawn history is what the runs and the plan then do."""

from __future__ import annotations

from functools import partial

import pytest

from .drawing.changes import changes
from .drawing.outlooks import SCENES, outlooks
from .examples import Shard, assert_holds, draw_each, sharded
from .forecasting import forecast_violations
from .local_forecasting import local_violations


@pytest.mark.parametrize("scene", SCENES)
def test_the_forecast_after_a_scene_is_true(scene: str) -> None:
    assert_holds(forecast_violations, SCENES[scene])


@sharded("SQLMESH_TRACKER_FORECASTS", 4)
@pytest.mark.long
def test_forecasts_after_drawn_histories_are_true(shard: Shard) -> None:
    draw_each(outlooks(), shard, partial(assert_holds, forecast_violations))


@sharded("SQLMESH_TRACKER_LOCAL_FORECASTS", 4)
@pytest.mark.long
def test_plans_of_drawn_changes_and_the_week_after_are_as_forecast(shard: Shard) -> None:
    draw_each(changes(), shard, partial(assert_holds, local_violations))

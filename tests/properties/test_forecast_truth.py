"""What is forecast after a drawn history is what the runs then do."""

from __future__ import annotations

from functools import partial

import pytest

from .drawing.outlooks import outlooks
from .examples import Shard, assert_holds, draw_each, sharded
from .forecasting import forecast_violations


@sharded("SQLMESH_TRACKER_FORECASTS", 4)
@pytest.mark.long
def test_forecasts_after_drawn_histories_are_true(shard: Shard) -> None:
    draw_each(outlooks(), shard, partial(assert_holds, forecast_violations))

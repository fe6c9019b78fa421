"""What is forecast after a drawn history is what the runs and the plan then do."""

from __future__ import annotations

from functools import partial

import pytest

from .drawing.changes import changes
from .drawing.outlooks import outlooks
from .dry_planning import dry_plan_violations
from .examples import Shard, assert_holds, draw_each, sharded
from .forecasting import forecast_violations


@sharded("SQLMESH_TRACKER_FORECASTS", 4)
@pytest.mark.long
def test_forecasts_after_drawn_histories_are_true(shard: Shard) -> None:
    draw_each(outlooks(), shard, partial(assert_holds, forecast_violations))


@sharded("SQLMESH_TRACKER_FORECASTS", 4)
@pytest.mark.long
def test_plans_of_drawn_changes_leave_the_state_that_was_forecast(shard: Shard) -> None:
    draw_each(changes(), shard, partial(assert_holds, dry_plan_violations))

"""What is missing, computed with spans: the same as SQLMesh finds interval by interval."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmesh.core.node import IntervalUnit
from sqlmesh.core.snapshot.definition import compute_missing_intervals
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.forecast.units import unit_of
from pytest_sqlmesh_tracker.tracking.spans import merged

MINUTE = 60 * 1000
BEGIN = to_timestamp("2024-02-27")
UNITS = st.sampled_from(list(IntervalUnit))
MOMENTS = st.integers(0, 4 * 24 * 60).map(lambda minutes: BEGIN + minutes * MINUTE)
YEARS = st.integers(0, 4 * 365).map(lambda days: BEGIN + days * 24 * 60 * MINUTE)


@settings(deadline=None)
@given(UNITS, st.one_of(MOMENTS, YEARS))
def test_intervals_begin_where_the_cron_of_the_unit_ticks(unit: IntervalUnit, at: int) -> None:
    arithmetic = unit_of(unit)
    floor = to_timestamp(unit.cron_floor(at))
    assert arithmetic.floor(at) == floor
    assert arithmetic.ceil(at) == (at if floor == at else to_timestamp(unit.cron_next(at)))
    assert arithmetic.shortest == unit.milliseconds


@settings(deadline=None)
@given(
    UNITS,
    st.data(),
    st.integers(0, 4),
    st.booleans(),
)
def test_the_same_is_missing_as_sqlmesh_finds(
    unit: IntervalUnit, data: st.DataObject, lookback: int, has_end: bool
) -> None:
    arithmetic = unit_of(unit)
    moments = YEARS if unit.is_month or unit.is_year else MOMENTS
    begin = arithmetic.floor(data.draw(moments, "begin"))
    end = begin + data.draw(moments, "length") - BEGIN
    bounds = data.draw(st.lists(moments, max_size=6).map(sorted), "bounds")
    loaded = tuple(merged((a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=False) if a < b))
    last = data.draw(moments, "the model's end") if has_end else None
    expected = compute_missing_intervals(unit, loaded, begin, end, lookback, last)
    if begin == end:
        assert not expected
    else:
        missing = arithmetic.missing(loaded, begin, end, lookback, last)
        assert list(missing) == merged(expected)

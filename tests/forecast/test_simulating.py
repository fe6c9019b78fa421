"""Models that nothing distinguishes are simulated once, with the same result as one by one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import load_sql_based_model
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotChangeCategory
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker import Forecast
from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast_of
from pytest_sqlmesh_tracker.forecast.reading import environment_of

NOW = datetime(2024, 2, 27, 9, 5, tzinfo=timezone.utc)
EVERY = timedelta(hours=7)


class Drawn(NamedTuple):
    """A model without parents."""

    cron: str
    start: str | None
    end: str | None
    lookback: int
    loaded: tuple[str, str] | None


MODELS = st.lists(
    st.builds(
        Drawn,
        st.sampled_from(["@daily", "@hourly", "@monthly", "0 5 * * 1-5"]),
        st.sampled_from(["2024-02-20", "2024-02-01", "2024-02-26", "2024-03-02", None]),
        st.sampled_from([None, None, "2024-03-01"]),
        st.sampled_from([0, 0, 2]),
        st.sampled_from(
            [
                ("2024-02-20", "2024-02-26"),
                ("2024-02-01", "2024-02-26"),
                ("2024-02-01", "2024-02-27"),
                ("2024-02-22", "2024-02-24"),
                None,
            ]
        ),
    ),
    min_size=2,
    max_size=12,
)


def snapshot_of(drawn: Drawn, name: str) -> Snapshot:
    options = [f"name {name}", f"cron '{drawn.cron}'"]
    options += [f"start '{drawn.start}'"] if drawn.start else []
    options += (
        [f"end '{drawn.end}'"] if drawn.start and drawn.end and drawn.start < drawn.end else []
    )
    lookback = f", lookback {drawn.lookback}" if drawn.lookback else ""
    kind = f"kind INCREMENTAL_BY_TIME_RANGE (time_column ts{lookback})"
    model = load_sql_based_model(
        parse(f"MODEL ({', '.join(options)}, {kind}); SELECT @start_dt AS ts")
    )
    snapshot = Snapshot.from_node(model, nodes={model.fqn: model})
    snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
    snapshot.intervals = (
        [
            tuple(map(to_timestamp, drawn.loaded))  # type: ignore[list-item]
        ]
        if drawn.loaded
        else []
    )
    return snapshot


def forecast_for(snapshots: list[Snapshot], every: timedelta | None = EVERY) -> Forecast:
    """Forecast eleven days, in which runs take place at fixed times or whenever one is due."""
    known = environment_of(
        "prod",
        snapshots,
        DeployabilityIndex.all_deployable(),
        at=to_timestamp(NOW),
        default_catalog=None,
    )
    times = [NOW + number * every for number in range(1, 40)] if every else None
    until = NOW + 39 * EVERY
    return forecast_of(known, at=NOW, until=until, times=times, assumed=Assumed())


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(MODELS)
def test_together_as_one_by_one(drawn: list[Drawn]) -> None:
    snapshots = [snapshot_of(each, f"m.a{number}") for number, each in enumerate(drawn)]
    together = forecast_for(snapshots)
    for number, snapshot in enumerate(snapshots):
        alone = forecast_for([snapshot])
        name = f"m.a{number}"
        assert [(run.at, run.executed[name]) for run in together.runs if name in run.executed] == [
            (run.at, run.executed[name]) for run in alone.runs if run.executed
        ]
        assert [run.at for run in together.runs if name in run.failed] == [
            run.at for run in alone.runs if run.failed
        ]


def test_a_run_is_due_when_an_end_passes_an_interval() -> None:
    loaded = ("2024-02-20", "2024-02-27")
    drawn = Drawn("@daily", "2024-02-20", "30 hours ago", 0, loaded)
    forecasted = forecast_for([snapshot_of(drawn, "m.a0")], every=None)
    # SQLMesh takes an interval as a whole if its first minute is before the end.
    assert [run.at.isoformat(" ", "minutes")[5:16] for run in forecasted.runs][:3] == [
        "02-28 06:01",
        "02-29 06:01",
        "03-01 06:01",
    ]

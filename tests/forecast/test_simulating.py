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


def forecast_for(snapshots: list[Snapshot], failing: frozenset[str] = frozenset()) -> Forecast:
    known = environment_of(
        "prod",
        snapshots,
        DeployabilityIndex.all_deployable(),
        at=to_timestamp(NOW),
        default_catalog=None,
    )
    times = [NOW + timedelta(hours=7 * number) for number in range(1, 40)]
    return forecast_of(known, at=NOW, until=times[-1], times=times, assumed=Assumed(failing))


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

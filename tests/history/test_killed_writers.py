"""Four processes append to one history and are killed at random: nothing is lost or repeated."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, load_reports
from pytest_sqlmesh_tracker.history.appending import append

from .writers import kill_at_random

EACH = int(os.environ.get("SQLMESH_TRACKER_APPENDED", "12"))
"""How many reports each process appends; `make killed-writers` sets it to 200."""


@pytest.mark.processes
@pytest.mark.long
def test_every_acknowledged_report_is_there_once(tmp_path: Path) -> None:
    history = tmp_path / "runs.duckdb"
    ids = [[UUID(int=writer * 10_000 + number) for number in range(EACH)] for writer in range(4)]
    writers = kill_at_random(history, ids, kills=4 + EACH // 3, seed=EACH)
    acknowledged = [id_ for writer in writers for id_ in writer.acknowledged]
    killed = sum(writer.killed for writer in writers)
    beside = len([*tmp_path.glob("runs.duckdb.pending-*")])
    print(f"{killed} writers were killed, {beside} files left beside the history")  # noqa: T201
    assert killed >= 4
    assert sorted(acknowledged) == [id_ for each in ids for id_ in each]

    appended = Counter(one.id for one in load_reports(history) if isinstance(one, RunReport))
    assert appended == Counter(acknowledged)

    append(history, [], source="cli")
    assert [*tmp_path.glob("runs.duckdb.pending-*")] == []
    with closing(duckdb.connect(str(history))) as connection:
        rows = connection.execute("SELECT invocation_id, model FROM outcomes ORDER BY ALL")
        assert rows.fetchall() == [(id_, m) for id_ in sorted(appended) for m in ("a.x", "a.y")]

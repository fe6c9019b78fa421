"""Copies of drawn projects, which answer what-if questions, equal their originals."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.properties.drawing.histories import histories
from tests.properties.drawing.specs import History
from tests.properties.playing.invocations import begin, edit
from tests.properties.playing.world import World

from .examples import Shard, draw_each, sharded

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import SnapshotFingerprint


@sharded("SQLMESH_TRACKER_COPY_HISTORIES", 4)
def test_copies_have_the_models_that_their_files_have(shard: Shard) -> None:
    draw_each(histories(), shard, _compare_copies)


def _compare_copies(history: History) -> None:
    with tempfile.TemporaryDirectory(prefix="truth_") as folder:
        world = World(Path(folder), history.began)
        try:
            story = begin(history, world)
            for step in history.steps:
                edit(story, step)
                now = world.clock.now
                with world.copy(now) as copied, world.copy(now, reads_files=True) as read:
                    assert _fingerprints(copied) == _fingerprints(read) == _fingerprints(world)
        finally:
            world.close()


def _fingerprints(world: World) -> dict[str, SnapshotFingerprint]:
    return {name: snapshot.fingerprint for name, snapshot in world.context.snapshots.items()}

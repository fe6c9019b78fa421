"""Each fault is found, and each mended model has the right rows after any history."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis.strategies import SearchStrategy

from pytest_sqlmesh_tracker import Sandboxes
from pytest_sqlmesh_tracker.strategies import History, assert_history_independent, histories

PROJECT = Path(__file__).parents[1]

pytestmark = pytest.mark.sqlmesh_project(
    str(PROJECT),
    at="2024-03-03",
    setup=str(PROJECT / "raw.sql"),
    arrivals={"raw.offline_plays": "synced_at", "raw.ratings": "rated_at"},
)

MODELS = sorted(path.stem for path in (PROJECT / "models" / "faulty").iterdir())


def histories_of(schema: str, model: str) -> SearchStrategy[History]:
    """Histories in which `watch_time` also changes: it gets another column."""
    change = PROJECT / "changes" / schema / f"{model}.sql"
    changes = [(f"models/{schema}/{model}.sql", change.read_text())] if change.exists() else []
    return histories(days=7, changes=changes)


@pytest.mark.parametrize("model", MODELS)
def test_the_fault_is_found(sqlmesh_sandboxes: Sandboxes, model: str) -> None:
    with pytest.raises(AssertionError, match=f"faulty.{model} depends on history"):
        assert_history_independent(
            sqlmesh_sandboxes, f"faulty.{model}", histories=histories_of("faulty", model)
        )


@pytest.mark.parametrize("model", MODELS)
def test_the_mended_model_passes(sqlmesh_sandboxes: Sandboxes, model: str) -> None:
    assert_history_independent(
        sqlmesh_sandboxes, f"mended.{model}", histories=histories_of("mended", model), examples=10
    )

"""Events reach Dagster while SQLMesh runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dagster.sites import Site, until


@pytest.mark.parametrize("tasks", [1, 4], ids="{} workers".format)
def test_a_model_is_recorded_while_the_next_one_runs(tmp_path: Path, tasks: int) -> None:
    """Read by another process than the one that runs: `slow` does not end before it is."""
    site = Site(tmp_path, tasks)
    with site.execute("in_process") as process:
        until(lambda: "c/first" in site.materialized())
        assert "c/slow" not in site.materialized()
        assert process.poll() is None
        site.let_slow_go_on()
        assert process.wait(90) == 0
    assert site.materialized()[-2:] == ["c/slow", "c/third"]

"""Files of forecasts, whose format depends on the suffix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.render.forecasts.calendar import calendar
from pytest_sqlmesh_tracker.render.forecasts.files import checked_path, write
from pytest_sqlmesh_tracker.render.forecasts.markdown import markdown

from .building import shop


def test_each_suffix_has_its_format(tmp_path: Path) -> None:
    made = shop()
    for name in ("a.json", "b.MD", "new/c.html"):
        write(checked_path(tmp_path / name), made)
    assert json.loads((tmp_path / "a.json").read_text()) == made.to_dict()
    assert (tmp_path / "b.MD").read_text() == markdown(made)
    assert (tmp_path / "new" / "c.html").read_text() == calendar(made)


@pytest.mark.parametrize("name", ["a.xml", "a", "a.duckdb"])
def test_another_suffix_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.json, \.md or \.html"):
        checked_path(name)

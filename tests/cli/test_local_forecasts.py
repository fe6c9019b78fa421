"""`forecast --local`: what a plan of the project's files would change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from .conftest import Typed

pytestmark = pytest.mark.usefixtures("shop")


def rewrite(shop: Path, old: str, new: str) -> None:
    """Replace text in the file of the model `shop.daily`."""
    file = shop / "models/shop.daily.sql"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_is_edited(typed: Typed) -> None:
    ended = typed("forecast", "--local", "--fail-on", "less_often", "--fail-on", "failure")
    assert "a plan of the project's files would change nothing" in ended.out.splitlines()
    assert ended.code == 0


@pytest.mark.long
def test_a_cron_that_ticks_less_often(typed: Typed, shop: Path) -> None:
    rewrite(shop, "@daily", "@weekly")
    assert typed("forecast", "--local").code == 0
    ended = typed("forecast", "--local", "--json", "--fail-on", "less_often")
    assert ended.code == 1
    local = json.loads(ended.out)["local"]
    assert local["per_week"]["shop.daily"] == [7, 1]
    assert local["plan"]["fails"] is None
    assert typed("forecast", "--local", "--fail-on", "never", "--fail-on", "failure").code == 0


def test_only_some_models_are_judged(typed: Typed, shop: Path) -> None:
    rewrite(shop, "@daily", "@weekly")
    assert typed("forecast", "shop.orders", "--local", "--fail-on", "less_often").code == 0


def test_a_model_that_can_not_be_loaded(typed: Typed, shop: Path) -> None:
    (shop / "models/shop.daily.sql").write_text("MODEL (name shop.daily, kind NONSENSE); SELECT 1")
    ended = typed("forecast", "--local")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith("Error: the SQLMesh project ")
    assert " can't be forecast: " in line


def test_no_file_changes(typed: Typed, shop: Path) -> None:
    rewrite(shop, "@daily", "@hourly")
    before = digests(shop)
    assert typed("forecast", "--local").code == 0
    assert digests(shop) == before


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_fail_on_requires_local(typed: Typed) -> None:
    ended = typed("forecast", "--fail-on", "never")
    assert ended.code == 2
    assert "--fail-on requires --local" in ended.err

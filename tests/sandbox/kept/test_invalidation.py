"""A template is reused only while each of its inputs is unchanged, by content."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .sessions import Sessions, write_shop
from .setups import loads

READER = """
import os
from pathlib import Path

import helpers_of_shop
from sqlmesh import model

FOLDER = {folder!r}

@model("shop.read", columns={{"text": "text"}}, cron="@daily", kind="FULL")
def read(context, **kwargs):
    import pandas as pd

    text = Path(FOLDER, "rates.txt").read_text() + os.environ.get("SHOP_REGION", "everywhere")
    text += helpers_of_shop.suffix() + ",".join(os.listdir(Path(FOLDER, "listed")))
    return pd.DataFrame({{"text": [text]}})
"""
SETUP = """
CREATE SCHEMA raw;
CREATE TABLE raw.orders AS SELECT * FROM read_csv('{folder}/orders.csv');
CREATE TABLE raw.parts AS SELECT * FROM read_csv('{folder}/parts/*.csv');
"""


class Inputs:
    """Where everything is that the template is made from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shop = write_shop(folder / "repository" / "shop")
        self.write("elsewhere/rates.txt", "1")
        self.write("elsewhere/listed/one", "")
        self.write("elsewhere/orders.csv", "id\n1\n")
        self.write("elsewhere/parts/a.csv", "id\n1\n")
        self.write("elsewhere/setup.sql", SETUP.format(folder=folder / "elsewhere"))
        self.write(
            "imported/helpers_of_shop.py",
            "import values_of_shop\n\nsuffix = values_of_shop.suffix\n",
        )
        self.write("imported/values_of_shop.py", "VALUE = 'a'\n\ndef suffix():\n    return VALUE\n")
        self.write("repository/outside.csv", "id\n1\n")
        self.write(
            "repository/shop/models/read.py", READER.format(folder=str(folder / "elsewhere"))
        )
        self.write(
            "repository/shop/models/outside.sql",
            "MODEL (name shop.outside, kind SEED (path '../../outside.csv'))",
        )
        self.write("repository/shop/tests/test_shop.py", "def test_nothing():\n    pass\n")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    @property
    def arguments(self) -> dict[str, Any]:
        return {"setup": str(self.folder / "elsewhere/setup.sql"), "variables": {"rate": 4}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def sessions(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A session has planned and kept the template."""
    sys.path.insert(0, str(inputs.folder / "imported"))
    made = Sessions(tmp_path_factory.mktemp("sessions"))
    made.keep(inputs.shop, **inputs.arguments)
    yield made
    sys.path.remove(str(inputs.folder / "imported"))
    for name in ("helpers_of_shop", "values_of_shop"):
        sys.modules.pop(name, None)


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "repository/shop/config.yaml",
        "repository/shop/models/taxed.sql",
        "repository/shop/models/counted.py",
        "repository/shop/macros/prices.py",
        "repository/shop/signals/mornings.py",
        "repository/shop/materializations/twice.py",
        "repository/shop/linter/rules.py",
        "repository/shop/seeds/prices.csv",
        "repository/outside.csv",
        "elsewhere/rates.txt",
        "elsewhere/orders.csv",
        "elsewhere/parts/a.csv",
        "elsewhere/setup.sql",
        "imported/helpers_of_shop.py",
        "imported/values_of_shop.py",
    ],
)
def test_a_file_was_edited(sessions: Sessions, inputs: Inputs, path: str) -> None:
    file = inputs.folder / path
    before, times = file.read_text(), file.stat()
    file.write_text(before + ("3\n" if path.endswith(("csv", "txt")) else "\n"))
    # Its size or time must not matter: the last change may have been within the same second.
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        assert not sessions.would_reuse(inputs.shop, **inputs.arguments)
    finally:
        file.write_text(before)
    assert sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "repository/shop/models/new.sql",
        "repository/shop/macros/new.py",
        "elsewhere/listed/two",
        "elsewhere/parts/b.csv",
    ],
)
def test_a_file_was_added(sessions: Sessions, inputs: Inputs, path: str) -> None:
    inputs.write(path, "")
    try:
        assert not sessions.would_reuse(inputs.shop, **inputs.arguments)
    finally:
        (inputs.folder / path).unlink()
    assert sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
@pytest.mark.parametrize(
    "changed",
    [
        {"variables": {"rate": 5}},
        {"variables": {"rate": 4.0}},
        {"at": "2024-01-05 00:06"},
        {"environment": "dev"},
        {"plan": False},
        {"state": "empty"},
        {"tick": False},
        {"select": "shop.days"},
        {"setup": None},
        {"arrivals": {"raw.orders": "day"}},
    ],
    ids=str,
)
def test_an_argument_was_changed(
    sessions: Sessions, inputs: Inputs, changed: dict[str, Any]
) -> None:
    assert not sessions.would_reuse(inputs.shop, **{**inputs.arguments, **changed})


@pytest.mark.long
def test_an_environment_variable_was_changed(
    sessions: Sessions, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOBODY_READS", "this")
    assert sessions.would_reuse(inputs.shop, **inputs.arguments)
    monkeypatch.setenv("SHOP_REGION", "north")
    assert not sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
def test_another_version_was_installed(
    sessions: Sessions, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sqlmesh-9.9.9.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
def test_a_database_that_is_copied_was_changed(sessions: Sessions, inputs: Inputs) -> None:
    import duckdb

    file = inputs.shop / "warehouse.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA kept; CREATE TABLE kept.rows AS SELECT 1 AS id")
    try:
        assert not sessions.would_reuse(inputs.shop, **inputs.arguments)
    finally:
        file.unlink()
    assert sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
@pytest.mark.usefixtures("sessions")
def test_a_module_that_was_imported_before_has_another_value(
    inputs: Inputs, tmp_path: Path
) -> None:
    """It may have been computed from an environment variable, which nothing recorded."""
    import values_of_shop  # type: ignore[import-not-found]

    with_values = Sessions(tmp_path)
    with_values.keep(inputs.shop, **inputs.arguments)
    assert with_values.would_reuse(inputs.shop, **inputs.arguments)
    before, values_of_shop.VALUE = values_of_shop.VALUE, "other"
    try:
        assert not with_values.would_reuse(inputs.shop, **inputs.arguments)
    finally:
        values_of_shop.VALUE = before


@pytest.mark.long
def test_a_test_was_edited(sessions: Sessions, inputs: Inputs) -> None:
    """That changes nothing."""
    inputs.write("repository/shop/tests/test_shop.py", "def test_something():\n    pass\n")
    inputs.write("repository/shop/conftest.py", "")
    assert sessions.would_reuse(inputs.shop, **inputs.arguments)


@pytest.mark.long
def test_a_setup_function_carries_another_value(inputs: Inputs, tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, plan=False)
    sessions.keep(inputs.shop, setup=loads(3))
    assert sessions.would_reuse(inputs.shop, setup=loads(3))
    assert not sessions.would_reuse(inputs.shop, setup=loads(4))
    assert not sessions.would_reuse(inputs.shop)


@pytest.mark.long
def test_it_is_planned_anew_on_request(inputs: Inputs, tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, plan=False)
    sessions.keep(inputs.shop)
    assert not sessions.would_reuse(inputs.shop, replan=True)
    assert sessions.would_reuse(inputs.shop)

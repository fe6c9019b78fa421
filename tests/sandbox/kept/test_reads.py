"""Files that planning reads in unusual ways are inputs, or the template is not kept."""

from __future__ import annotations

import bz2
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from tests.projects import Project

from .projects import made_by
from .sessions import Sessions

READS = """
loader = SourceFileLoader("tools_of_shop", "{folder}/tools.py")
    loader.exec_module(module_from_spec(spec_from_loader("tools_of_shop", loader)))
    pkgutil.get_data("package_of_shop", "rates.json")
    pd.read_csv("{folder}/rows.csv.bz2")
    listdir("{folder}/listed")
    str(package_of_shop.rates)
"""
IMPORTS = """
import pkgutil
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from os import listdir

import package_of_shop
"""
PACKAGE = """
import importlib
import os
import pkgutil

class Settings:
    def __init__(self):
        self.region = os.environ.get("REGION_OF_SHOP")

settings = Settings()
rates = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").rate
    for module in pkgutil.iter_modules(__path__)
}
"""
QUERY = """
ATTACH IF NOT EXISTS '{folder}/attached.duckdb' AS attached (READ_ONLY);
SELECT one.id FROM read_csv('{folder}/globs/one/*.csv') AS one
JOIN '{folder}/globs/two/*.csv' AS two ON one.id = two.id
JOIN attached.main.four ON one.id = four.id
"""


class Shop:
    """A project, and the folder with what it reads beside it."""

    def __init__(self, folder: Path) -> None:
        import duckdb

        self.folder = folder
        self.write("tools.py", "RATE = 1\n")
        self.write("package_of_shop/__init__.py", PACKAGE)
        self.write("package_of_shop/north.py", "def rate():\n    return 1\n")
        self.write("package_of_shop/rates.json", "{}")
        self.write("listed/one", "")
        for name in ("one", "two", "three"):
            self.write(f"globs/{name}/first.csv", "id\n1\n")
        (folder / "rows.csv.bz2").write_bytes(bz2.compress(b"id\n1\n"))
        with duckdb.connect(str(folder / "attached.duckdb")) as connection:
            connection.execute("CREATE TABLE four AS SELECT 1 AS id")
        self.project = made_by(
            folder / "shop",
            READS.format(folder=folder).strip(),
            imports=IMPORTS,
            query=QUERY.format(folder=folder),
        )
        query = "SELECT id FROM read_csv(getvariable('of_shop'))"
        variable = f"SET VARIABLE of_shop = '{folder}/globs/three/*.csv'"
        Project(self.project).model("shop.three", f"{variable}; {query}")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def sessions(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A session has planned and kept the template. Its package was imported before."""
    sys.path.insert(0, str(shop.folder))
    import package_of_shop  # type: ignore[import-not-found] # noqa: F401

    made = Sessions(tmp_path_factory.mktemp("sessions"))
    made.keep(shop.project)
    yield made
    sys.path.remove(str(shop.folder))
    for name in [name for name in sys.modules if name.startswith("package_of_shop")]:
        del sys.modules[name]


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    ["tools.py", "package_of_shop/north.py", "package_of_shop/rates.json", "rows.csv.bz2"],
)
def test_a_file_was_edited(sessions: Sessions, shop: Shop, path: str) -> None:
    before = (shop.folder / path).read_bytes()
    (shop.folder / path).write_bytes(before + b"\n")
    try:
        assert not sessions.would_reuse(shop.project)
    finally:
        (shop.folder / path).write_bytes(before)
    assert sessions.would_reuse(shop.project)


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "listed/two",
        "package_of_shop/south.py",
        "globs/one/second.csv",
        "globs/two/second.csv",
        "globs/three/second.csv",
        # What DuckDB has not yet written into the database.
        "attached.duckdb.wal",
    ],
)
def test_a_file_was_added(sessions: Sessions, shop: Shop, path: str) -> None:
    shop.write(path, "id\n2\n")
    try:
        assert not sessions.would_reuse(shop.project)
    finally:
        (shop.folder / path).unlink()
    assert sessions.would_reuse(shop.project)


@pytest.mark.long
def test_an_object_of_a_module_has_another_value(sessions: Sessions, shop: Shop) -> None:
    import package_of_shop

    package_of_shop.settings.region = "north"
    try:
        assert not sessions.would_reuse(shop.project)
    finally:
        package_of_shop.settings.region = None
    assert sessions.would_reuse(shop.project)


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "imports", "reason"),
    [
        ("duckdb.sql('SELECT 1').df()", "import duckdb", "used the default connection of DuckDB"),
        ("query('SELECT 1')", "from duckdb import query", "used the default connection of DuckDB"),
        ("os.chdir(os.getcwd())", "import os", "changed the working folder"),
    ],
)
def test_python_reads_unseen(tmp_path: Path, statement: str, imports: str, reason: str) -> None:
    project = made_by(tmp_path / "shop", statement, imports=imports)
    assert Sessions(tmp_path).why_not_kept(project) == f"planning it {reason}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("execute('SELECT * FROM read_csv(?)', ['{rows}'])", "files whose names are computed"),
        ("read_csv('{rows}').create('rows')", "files whose names are computed"),
        ("execute(\"SELECT count(*) FROM glob('~/*.csv')\")", "files in the home directory"),
    ],
)
def test_sql_reads_what_it_does_not_name(tmp_path: Path, call: str, reason: str) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id\n1\n")
    call = call.format(rows=rows)
    setup = _from_file(tmp_path / "loads.py", f"def load(connection):\n    connection.{call}\n")
    sessions = Sessions(tmp_path, plan=False)
    project = made_by(tmp_path / "shop")
    assert sessions.why_not_kept(project, setup=setup) == f"planning it read {reason} in SQL"


def _from_file(file: Path, code: str) -> Any:
    """The function `load` of a file that is written with this code."""
    file.write_text(code)
    variables: dict[str, Any] = {"__name__": file.stem}
    exec(compile(code, str(file), "exec"), variables)
    return variables["load"]


def test_a_setup_function_without_a_file(tmp_path: Path) -> None:
    setup = _from_file(tmp_path / "loads.py", "def load(connection):\n    pass\n")
    (tmp_path / "loads.py").unlink()
    reason = Sessions(tmp_path, plan=False).why_not_kept(made_by(tmp_path / "shop"), setup=setup)
    assert reason == "its set-up is a function without a file"


@pytest.mark.long
def test_a_setup_function_was_edited_after_it_was_imported(tmp_path: Path) -> None:
    setup = _from_file(tmp_path / "loads.py", "def load(connection):\n    pass\n")
    os.utime(tmp_path / "loads.py", (2**32, 2**32))
    reason = Sessions(tmp_path, plan=False).why_not_kept(made_by(tmp_path / "shop"), setup=setup)
    assert reason == f"{tmp_path / 'loads.py'} changed after it was imported"


@pytest.mark.long
@pytest.mark.parametrize("of_a_fixture", [True, False], ids=["function", "mock"])
def test_a_fixture_replaces_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_a_fixture: bool
) -> None:
    """An edit of the fixture's file would not be noticed."""
    client = ModuleType("client_of_shop")
    monkeypatch.setitem(sys.modules, "client_of_shop", client)

    def download() -> int:
        return 1

    monkeypatch.setattr(client, "get", download if of_a_fixture else Mock(), raising=False)
    project = made_by(tmp_path / "shop", "client_of_shop.get()", imports="import client_of_shop")
    reason = Sessions(tmp_path).why_not_kept(project)
    assert reason == "its Python code uses client_of_shop.get, which was replaced"

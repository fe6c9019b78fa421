"""The options of the pytest plugin, and the keys of the ini file that mirror them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.render.files import SUFFIXES_IN_WORDS

if TYPE_CHECKING:
    import pytest


def add_options(parser: pytest.Parser) -> None:
    """Register the options and the keys."""
    group = parser.getgroup("sqlmesh")
    what = "folder of the SQLMesh project that sqlmesh_project copies, relative to the root folder"
    group.addoption("--sqlmesh-tracker-project", type=_typed, metavar="PATH", help=what)
    parser.addini("sqlmesh_tracker_project", what, default="")
    what = "report an error for outcomes that the gate policy rejects and the test does not assert"
    group.addoption("--sqlmesh-tracker-strict", action="store_true", help=what)
    parser.addini("sqlmesh_tracker_strict", what, type="bool", default=False)
    what = f"write the reports of all tests to a file: {SUFFIXES_IN_WORDS}"
    group.addoption(
        "--sqlmesh-tracker-report",
        action="append",
        type=_typed,
        metavar="PATH",
        help=f"{what}; repeatable",
    )
    parser.addini(
        "sqlmesh_tracker_report", f"{what}; one path per line", type="linelist", default=[]
    )
    what = "plan the projects of sandboxes anew, also those whose plan was kept"
    group.addoption("--sqlmesh-tracker-replan", action="store_true", help=what)
    what = "keep the plans of sandboxes' projects for later sessions, in pytest's cache folder"
    parser.addini("sqlmesh_tracker_reuse", what, type="bool", default=True)
    what = "size of all kept plans together, such as 500 MB; the oldest are removed"
    parser.addini("sqlmesh_tracker_cache_size", what, default="2 GB")
    what = "folder of the programs of the PostgreSQL server that sandboxes start (initdb, postgres)"
    parser.addini("sqlmesh_tracker_postgres", what, default="")


def setting(config: pytest.Config, name: str) -> Any:
    """The value of an option, or else of the key of the ini file that mirrors it."""
    return config.getoption(f"sqlmesh_tracker_{name}") or config.getini(f"sqlmesh_tracker_{name}")


def _typed(value: str) -> str:
    """The value of an option, which must not be empty: empty would count as not set."""
    if not value.strip():
        raise ArgumentTypeError("the value is empty: is a variable unset?")
    return value

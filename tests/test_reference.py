"""`docs/reference.md` describes everything public, and equals the output of its script."""

from __future__ import annotations

import importlib
import re

import click
import pytest

from docs.reference import FILE, MODULES, page
from pytest_sqlmesh_tracker.cli import main

REFERENCE = FILE.read_text(encoding="utf-8")
HEADINGS = set(re.findall(r"^#{3,4} `(.+?)`", REFERENCE, re.MULTILINE))
NAMES = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]
FIXTURES = {
    "materialize_sqlmesh",
    "sqlmesh_context",
    "sqlmesh_project",
    "sqlmesh_project_config",
    "sqlmesh_project_factory",
    "sqlmesh_project_setup",
    "sqlmesh_sandboxes",
    "sqlmesh_tracker",
}


def test_the_file_equals_the_output_of_the_script(request: pytest.FixtureRequest) -> None:
    assert page(request.session) == REFERENCE, "run make reference"


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_has_an_entry_with_a_description(module: str, name: str) -> None:
    [chapter] = re.findall(rf"^## `{re.escape(module)}`\n(.*?)(?=^## )", REFERENCE, re.M | re.S)
    [entry] = re.findall(rf"^### `{name}`\n(.*?)(?=^### |\Z)", chapter, re.M | re.S)
    text = re.sub(r"```text\n.*?```", "", entry, flags=re.DOTALL)
    assert re.search(r"[A-Z].*\.", text)


def test_every_method_has_a_description() -> None:
    entries = re.findall(r"^#### `(.+?)`\n\n```text\n.*?```\n\n(.*?)$", REFERENCE, re.M | re.S)
    assert len(entries) > 50
    assert [name for name, text in entries if not re.match(r"[A-Z`]", text)] == []


def test_every_field_and_option_has_a_meaning() -> None:
    rows = re.findall(r"^\| `.+\|$", REFERENCE, re.MULTILINE)
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_fixture_marker_option_and_command_has_an_entry(pytestconfig: pytest.Config) -> None:
    assert HEADINGS >= FIXTURES
    markers = [marker.partition("(")[0] for marker in pytestconfig.getini("markers")]
    own = [marker for marker in markers if marker.startswith("sqlmesh_")]
    assert len(own) == 2
    assert [marker for marker in own if f"#### `{marker}` (marker)" not in REFERENCE] == []
    options = [name for name in vars(pytestconfig.option) if name.startswith("sqlmesh_tracker_")]
    assert len(options) == 4
    assert [name for name in options if f"--{name.replace('_', '-')}" not in REFERENCE] == []
    assert {f"sqlmesh-tracker {name}" for name in main.commands} <= HEADINGS


@pytest.mark.parametrize("name", main.commands)
def test_every_option_of_a_command_is_listed(name: str) -> None:
    [entry] = re.findall(
        rf"^### `sqlmesh-tracker {name}`\n(.*?)(?=^### |\Z)", REFERENCE, re.M | re.S
    )
    general = {param.name for param in main.params}
    options = [
        spelling
        for param in main.commands[name].params
        if isinstance(param, click.Option) and param.name not in general
        for spelling in param.opts
    ]
    assert options
    listed = set(re.findall(r"(?<![\w-])--?[\w-]+", entry))
    assert [spelling for spelling in options if spelling not in listed] == []

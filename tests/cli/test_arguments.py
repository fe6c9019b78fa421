"""Empty values, such as those of unset variables, are rejected in one line before anything runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pytest_sqlmesh_tracker.cli import main

from .conftest import Typed

REASON = "has an empty value: is a variable unset?"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def valued_options() -> Iterator[tuple[str, str]]:
    """Each command and option that takes a value."""
    for name, command in main.commands.items():
        for param in command.params:
            if isinstance(param, click.Option) and not (param.is_flag or param.count):
                yield from ((name, spelling) for spelling in param.opts)


@pytest.mark.parametrize(("name", "option"), valued_options())
@pytest.mark.parametrize("value", ["", " \t"])
def test_options_reject_empty_values(typed: Typed, name: str, option: str, value: str) -> None:
    ended = typed(name, option, value)
    longest = max((p.opts for p in main.commands[name].params if option in p.opts), key=len)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"Error: {max(longest, key=len)} {REASON}\n"


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("run ''", "ENVIRONMENT"),
        ("plan ''", "ENVIRONMENT"),
        ("run prod -- --new-option ''", "ENVIRONMENT"),
        ("show ''", "REPORT"),
        ("show a.json ''", "REPORT"),
        ("gate ''", "REPORT"),
        ("diff '' b.json", "OLD"),
        ("diff a.json ''", "NEW"),
        ("diff a.json b.json ''", "an argument"),
        ("run --report=", "--report"),
        ("run --report a.json --report ''", "--report"),
        ("-p '' run", "--paths"),
        ("--gateway= run", "--gateway"),
        ("''", "an argument"),
        ("'' show a.json", "an argument"),
    ],
)
def test_arguments_reject_empty_values(typed: Typed, line: str, label: str) -> None:
    ended = typed(*shlex.split(line))
    assert (ended.code, ended.out, ended.err) == (2, "", f"Error: {label} {REASON}\n")


def test_other_mistakes_have_the_messages_of_click(typed: Typed) -> None:
    assert "No such option" in typed("show", "--no-such-option", "").err
    assert "Missing argument" in typed("show").err

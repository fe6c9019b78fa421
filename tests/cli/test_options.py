"""SQLMesh's own options: the same names, before or after the command, passed on as typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest

from pytest_sqlmesh_tracker.cli import main
from pytest_sqlmesh_tracker.cli.options import Forwarded, words_for_sqlmesh

VV = ["--verbose", "--verbose"]


def options_of(command: click.Command) -> dict[str, tuple[Any, ...]]:
    """Spelling → whether it is a flag, can be repeated, is counted."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {
        spelling: (option.is_flag, option.multiple, option.count)
        for option in options
        for spelling in option.opts
        if option.name != "version"
    }


@pytest.mark.parametrize("name", [None, "run", "plan"])
def test_every_option_of_sqlmesh_is_accepted(name: str | None) -> None:
    from sqlmesh.cli.main import cli

    theirs = options_of(cli if name is None else cli.commands[name])
    ours = options_of(main if name is None else main.commands[name])
    assert {option: ours.get(option) for option in theirs} == theirs


@pytest.mark.parametrize("name", ["run", "plan"])
def test_a_command_accepts_the_general_options(name: str) -> None:
    general = options_of(main)
    assert {option: options_of(main.commands[name]).get(option) for option in general} == general


def words(line: str) -> list[str]:
    """The arguments that SQLMesh gets for what is typed."""
    before, name, after = re.split(r"(?:^| )(run|plan)(?: |$)", line)
    root = main.make_context("sqlmesh-tracker", [*before.split(), name])
    return words_for_sqlmesh(main.commands[name].make_context(name, after.split(), parent=root))


def words_but_for_the_folder(line: str) -> list[str]:
    return [word for word in words(line) if word != f"--paths={Path.cwd()}"]


@pytest.mark.parametrize(
    ("typed", "handed_on"),
    [
        ("run", ["run"]),
        ("run prod", ["run", "prod"]),
        ("-p a run -p b prod", ["--paths=a", "--paths=b", "run", "prod"]),
        ("run --gateway g --debug", ["--gateway=g", "--debug", "run"]),
        ("--gateway g --debug run", ["--gateway=g", "--debug", "run"]),
        ("run -s 2024-01-01 --end=-3days", ["run", "--start=2024-01-01", "--end=-3days"]),
        (
            "plan dev -r a -r b --dry-run -vv",
            ["plan", *["--restate-model=a", "--restate-model=b", "--skip-backfill"], *VV, "dev"],
        ),
        ("plan -- --new-option 3 dev", ["plan", "--new-option", "3", "dev"]),
        ("run --gate --quiet --json", ["run"]),
    ],
)
def test_options_are_passed_to_sqlmesh(typed: str, handed_on: list[str]) -> None:
    assert words_but_for_the_folder(typed) == handed_on


def test_the_project_defaults_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLMesh's own default is the folder that was the current one when it was imported.
    monkeypatch.chdir(tmp_path)
    assert words("run") == [f"--paths={tmp_path}", "run"]


@pytest.mark.parametrize("variable", ["SQLMESH_GATEWAY", "SQLMESH_DOTENV_PATH"])
def test_variables_are_left_to_sqlmesh(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "x")
    assert words_but_for_the_folder("run") == ["run"]


def test_only_sqlmeshs_options_are_passed_on() -> None:
    own = {
        spelling
        for param in main.commands["run"].params
        if isinstance(param, click.Option) and not isinstance(param, Forwarded)
        for spelling in (*param.opts, *param.secondary_opts)
    }
    assert own == {
        "--gate",
        "--load-timeout",
        "--no-load",
        "--no-gate",
        "--policy",
        "--report",
        "--github-summary",
        "--json",
        "-q",
        "--quiet",
        "--wait",
    }

"""What the chapter on CI shows: its commands, workflows, policy, examples and what they print."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from textwrap import dedent

import click
import pytest
from ruamel.yaml import YAML

from pytest_sqlmesh_tracker import GatePolicy, ModelOutcome, Sandbox
from pytest_sqlmesh_tracker.cli import main
from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_SKIPS, UNEXPECTED_STATUSES
from pytest_sqlmesh_tracker.render import terminal
from tests.builders import executed, run, skipped, utc

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]
CHAPTER = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for other, text in BLOCKS if other == language]


COMMANDS = [
    line.strip().removeprefix("$ ").removeprefix("- ").removeprefix("run: ")
    for text in (*blocks("console"), *blocks("yaml"))
    for line in text.splitlines()
    if re.match(r"^(\$|\s*-( run:)?) sqlmesh-tracker ", line)
]


def test_the_chapter_shows_each_command() -> None:
    assert {command.split()[1] for command in COMMANDS} == {"run", "show", "doctor", "diff"}


@pytest.mark.parametrize("line", COMMANDS)
def test_documented_options_of_a_command_exist(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    parsed = main.commands[name].make_context(name, arguments)
    assert isinstance(parsed, click.Context)


@pytest.mark.parametrize("word", ["--report", "--github-summary", "--json", "--quiet", "--policy"])
def test_the_table_lists_the_commands_with_an_option(word: str) -> None:
    having = {
        name
        for name, command in main.commands.items()
        if any(word in param.opts for param in command.params)
    }
    [cell] = re.findall(rf"^\| [^|]*`{word}\b[^|]*\|([^|]*)\|", CHAPTER, re.MULTILINE)
    listed = set(re.findall(r"`(\w+)`", cell))
    assert having == (set(main.commands) - listed if cell.strip().startswith("all") else listed)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_workflows_are_yaml(text: str) -> None:
    assert YAML(typ="safe").load(text)


def test_the_policy_is_valid() -> None:
    [text] = blocks("toml")
    assert [rule.label for rule in GatePolicy.from_toml(text).rules] == [
        "marketing.*",
        "finance.ledger, finance.daily_close",
        "sales.orders",
        "billing.*, finance.*",
        "finance.*",
        "staging.bank_*",
        "experiments.*",
    ]


@pytest.mark.parametrize(
    ("block", "key", "outcomes"),
    [
        (
            1,
            "tolerate",
            [
                skipped(
                    "staging.bank_a",
                    "signal_not_ready",
                    signals={"arrived": ()},
                    waiting_since=utc("2026-01-04"),
                ),
                skipped("reports.cash", "upstream_not_ready", blocked_by=("staging.bank_a",)),
            ],
        ),
        (2, "fresh_within", [skipped("finance.ledger", loaded_through=utc("2026-01-04"))]),
    ],
)
def test_the_policy_limits_as_documented(
    block: int, key: str, outcomes: list[ModelOutcome]
) -> None:
    rules = GatePolicy.from_toml(blocks("toml")[0]).rules
    policy = GatePolicy([rule for rule in rules if getattr(rule, key)])
    result = policy.evaluate(run(*outcomes, execution_time=utc("2026-01-05 06:30")))
    assert terminal.findings(result, width=120) == blocks("text")[block].rstrip()


def test_the_chapter_lists_everything_that_the_gate_rejects() -> None:
    [section] = re.findall(r"## What the gate rejects\n(.*?)```", CHAPTER, re.DOTALL)
    rejected = set(re.findall(r"`(\w+)`", section[: section.index("All other skips")]))
    assert rejected == {*UNEXPECTED_STATUSES, "skipped", *UNEXPECTED_SKIPS}


def test_the_program_runs() -> None:
    report = run(executed("sales.orders"), executed("marketing.spend"))
    exec(dedent(blocks("python")[0]), {"report": report})


PAYMENTS = "sample_projects/upstream_failure"


@pytest.mark.sqlmesh_project(PAYMENTS, at="2024-03-04 06:00", setup=f"{PAYMENTS}/raw.sql")
def test_the_gate_prints_the_documented_output(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'")
    sqlmesh_project.execute("DELETE FROM raw.bank_statements WHERE statement_date = '2024-03-04'")
    report = sqlmesh_project.run(at="2024-03-05 06:00")
    printed = terminal.findings(GatePolicy().evaluate(report), width=100)
    assert f"{printed}\n" == blocks("text")[0]


def test_the_strict_test_prints_the_documented_output(
    pytester: pytest.Pytester,
    planned_project: Path,  # noqa: ARG001
) -> None:
    ignore = shutil.ignore_patterns("test_*.py", "__pycache__", ".cache")
    source = ROOT / "sample_projects" / "cron_cascade"
    shutil.copytree(source, pytester.path, dirs_exist_ok=True, ignore=ignore)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    pytester.makepyfile(blocks("python")[1])
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-rN")
    result.assert_outcomes(passed=1, errors=1)
    shown = blocks("text")[-1].splitlines()
    first = result.outlines.index(shown[0])
    assert result.outlines[first : first + len(shown)] == shown

"""What `forecast` prints and writes, and how it rejects what it can't forecast."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from tests.engines.engine import only_duckdb
from tests.projects import Project, at, rows_every

from .conftest import Typed, execute_in_state

pytestmark = pytest.mark.usefixtures("shop")


def test_all_models_are_a_table(typed: Typed) -> None:
    ended = typed("forecast")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "prod from 2024-01-10 00:05 to 2024-01-17 00:05 UTC: 7 runs evaluate something",
        "model            cron     evaluations  first (UTC)  last",
        "marketing.spend  @daily             7  01-11 00:00  01-17 00:00",
        "shop.orders      @daily             7  01-11 00:00  01-17 00:00",
        "shop.daily       @daily             7  01-11 00:00  01-17 00:00",
        "shop.weekly      @weekly            1  01-14 00:00",
        "4 models evaluated",
        "",
        "assumptions",
        "  - Nobody else runs, plans or restates models of this environment.",
        "  - The environment is run at each moment at which something becomes due.",
        "  - Evaluations take no time and succeed, unless a model is forecast to fail.",
        "  - Signals are ready: those of marketing.spend.",
    ]


def test_the_evaluations_of_a_model_with_their_intervals(typed: Typed) -> None:
    ended = typed("forecast", "shop.d*", "--every", "0 6 * * 1", "--until", "2024-01-25")
    assert ended.out.splitlines()[:6] == [
        "prod from 2024-01-10 00:05 to 2024-01-25 00:00 UTC: 2 runs evaluate something",
        "",
        "shop.daily  @daily",
        "  evaluated at (UTC)  intervals",
        "  2024-01-15 06:00    2024-01-09 .. 2024-01-14",
        "  2024-01-22 06:00    2024-01-15 .. 2024-01-21",
    ]


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        (["--days", "2"], ["2024-01-11T00:00", "2024-01-12T00:00"]),
        (["--until", "2024-01-12"], ["2024-01-11T00:00", "2024-01-12T00:00"]),
        (["--until", "2024-01-12T00:00+01:00"], ["2024-01-11T00:00"]),
        (["--every", "12h", "--days", "1"], ["2024-01-10T12:05", "2024-01-11T00:05"]),
        # Never now.
        (["--every", "5 0 * * *", "--days", "1"], ["2024-01-11T00:05"]),
    ],
)
def test_when_the_environment_is_run(typed: Typed, options: list[str], runs: list[str]) -> None:
    document = json.loads(typed("forecast", "--json", *options).out)
    assert [run["at"] for run in document["runs"]] == [f"{run}:00+00:00" for run in runs]


@pytest.mark.long
def test_models_that_will_be_older_than_the_gate_allows(typed: Typed) -> None:
    rule = '[[tool.sqlmesh_tracker.gate.rules]]\nmodels = "shop.*"\nfresh_within = "3 days"\n'
    Path("pyproject.toml").write_text(rule)
    lines = typed("forecast").out.splitlines()
    assert "4 models evaluated, 1 older than allowed" in lines
    place = lines.index("older than the gate allows")
    assert " ".join(" ".join(lines[place + 1 : place + 3]).split()) == (
        "- shop.weekly: older than 3 days from 2024-01-10 00:00 to 2024-01-14 00:00, from "
        "2024-01-17 00:00 on"
    )
    assert "older than" not in typed("forecast", "shop.orders").out
    assert "  older than 3 days from" in typed("forecast", "shop.weekly").out
    Path("other.toml").write_text("[[rules]]\nmodels = 'shop.*'\nallow = ['failed']\n")
    assert json.loads(typed("forecast", "--json", "--policy", "other.toml").out)["stale"] == {}
    stale = json.loads(typed("forecast", "--json").out)["stale"]["shop.weekly"]
    assert stale[1] == {"limit": "3 days", "since": "2024-01-17T00:00:00+00:00", "until": None}


def test_a_policy_that_is_not_valid(typed: Typed) -> None:
    Path("pyproject.toml").write_text("[[tool.sqlmesh_tracker.gate.rules]]\nmodels = 'shop.*'\n")
    ended = typed("forecast")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert "a rule must have allow" in line


def test_json_has_the_keys_of_the_contract(typed: Typed) -> None:
    document = json.loads(typed("forecast", "--json", "--days", "1").out)
    day = [["2024-01-09T00:00:00+00:00", "2024-01-11T00:00:00+00:00"]]
    assumptions = document.pop("assumptions")
    assert assumptions[0] == "Nobody else runs, plans or restates models of this environment."
    assert document == {
        "schema_version": 1,
        "environment": "prod",
        "at": "2024-01-10T00:05:00+00:00",
        "until": "2024-01-11T00:05:00+00:00",
        "runs": [
            {
                "at": "2024-01-11T00:00:00+00:00",
                "executed": dict.fromkeys(["marketing.spend", "shop.orders", "shop.daily"], day),
                "failed": [],
            }
        ],
        "undetermined": {},
        "stale": {},
        "local": None,
    }


def test_json_is_restricted_to_some_models(typed: Typed) -> None:
    document = json.loads(typed("forecast", "SHOP.WEEKLY", "--json").out)
    assert [list(run["executed"]) for run in document["runs"]] == [["shop.weekly"]]


def test_files_have_the_format_of_their_suffix(typed: Typed) -> None:
    ended = typed("forecast", "--report", "a.json", "--report", "b.md", "--report", "c.html")
    assert json.loads(Path("a.json").read_text()) == json.loads(typed("forecast", "--json").out)
    assert "| `shop.weekly` | `@weekly` | 1 | 2024-01-14 00:00 |  |" in Path("b.md").read_text()
    assert "SQLMesh forecast" in Path("c.html").read_text()
    assert ended.out.startswith("prod from ")


def test_a_file_that_can_not_be_written(typed: Typed) -> None:
    Path("taken").write_text("")
    ended = typed("forecast", "--report", "taken/a.md", "--report", "b.md")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith("Error: --report ")
    assert Path("b.md").exists()


def test_the_project_is_found_before_and_after_the_command(
    typed: Typed, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    assert typed("-p", str(shop), "forecast") == typed("forecast", "-p", "shop")


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["shop.order"], "no model 'shop.order' in the environment prod; did you mean shop.orders"),
        (["nothing.*"], "no model matches 'nothing.*' in the environment prod"),
        (["-E", "dev"], "environment dev of the SQLMesh project"),
        (["-p", "models"], "no SQLMesh project in"),
        (["--gateway", "nope"], "nope"),
        (["--days", "0"], "0 is not in the range"),
        (["--days", "2", "--until", "2024-01-12"], "--days and --until exclude each other"),
        (["--until", "tomorrow"], "--until: 'tomorrow' is not an ISO date or time"),
        (["--until", "2024-01-10"], "--until: 2024-01-10 00:00 UTC must be after now"),
        (["--until", "2124-01-10"], "by at most 3,660 days"),
        (["--every", "daily"], "--every must be a duration, such as '1 day', or a cron"),
        (["--every", "30 days"], "--every: no run takes place until 2024-01-17 00:05 UTC"),
        (["--every", "0.1s"], "--every: more than 1,000,000 runs take place"),
        (["--report", "x.xml"], "its name must end in .json, .md or .html"),
    ],
)
def test_one_line_says_what_is_wrong(typed: Typed, arguments: list[str], error: str) -> None:
    ended = typed("forecast", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    [line] = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert ended.err.endswith(f"{line}\n")
    assert error in line


def test_a_model_that_will_fail(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "late")
    project.incremental("f.late", rows_every("1 day"), cron="'@weekly'", start="'2024-01-04'")
    with at("2024-01-05 00:05"):
        project.context.plan(skip_backfill=True, no_gaps=True, auto_apply=True, no_prompts=True)
    project.close()
    monkeypatch.chdir(project.path)
    ended = typed("forecast", "--every", "1 day", "--days", "3", when="2024-01-05 09:00")
    assert ended.code == 0
    assert ended.out.splitlines()[1:6] == [
        "model   cron     evaluations  first (UTC)  last  fails",
        "f.late  @weekly            1  01-07 09:00            1",
        "1 model evaluated, 1 failing",
        "",
        "failing",
    ]
    assert "f.late: fails in 1 run at 2024-01-06 09:00, because it starts after" in ended.out


def test_an_unfinished_plan(typed: Typed, shop: Path) -> None:
    execute_in_state(
        shop, "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = 'abcdefghij'"
    )
    ended = typed("forecast")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert "plan abcdefgh of prod is not finished" in line


@pytest.mark.parametrize("database", ["new.db", "folder/new.db"])
def test_nothing_is_planned_and_no_state_is_created(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    folder = tmp_path / "unplanned"
    folder.mkdir()
    (folder / "config.yaml").write_text(
        f"gateways: {{local: {{connection: {{type: duckdb, database: {database}}}}}}}\n"
        "model_defaults: {dialect: duckdb, start: 2024-01-01}\n"
    )
    monkeypatch.chdir(folder)
    ended = typed("forecast")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert "has not been planned yet" in line
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


@only_duckdb("about its file")
def test_the_state_is_not_written(typed: Typed, shop: Path) -> None:
    before = (shop / "wh.db").read_bytes()
    assert typed("forecast").code == 0
    assert (shop / "wh.db").read_bytes() == before


@only_duckdb("about its lock")
@pytest.mark.processes
def test_a_locked_state(shop: Path) -> None:
    from .conftest import process

    with closing(duckdb.connect(str(shop / "wh.db"))):
        ended = process("forecast")
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "Could not set lock on file" in line


@pytest.mark.long
@pytest.mark.processes
def test_what_the_configuration_prints_is_not_part_of_the_json(shop: Path) -> None:
    from .conftest import process

    text = (shop / "config.yaml").read_text()
    (shop / "config.yaml").unlink()
    (shop / "config.py").write_text(
        "import os, yaml\nfrom sqlmesh.core.config import Config\n"
        "print('hello'); os.system('echo world')\n"
        f"config = Config.parse_obj(yaml.safe_load({text!r}))\n"
    )
    ended = process("forecast", "--json")
    assert ended.returncode == 0
    json.loads(ended.stdout)
    assert {"hello", "world"} <= set(ended.stderr.splitlines())

"""`show` and `gate` on report files, including files that are not reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_sqlmesh_tracker.reports.files import Entry, entries_to_json
from pytest_sqlmesh_tracker.reports.report import RunReport
from tests.builders import executed, failed, run, skipped
from tests.projects import Project

from .conftest import Typed

NIGHT = run(
    failed("sales.orders"),
    skipped("sales.daily", "upstream_failed", blocked_by=("sales.orders",)),
    skipped("sales.weekly", "cron_not_due"),
    completion="failure",
)
DAY = run(executed("sales.orders"), executed("sales.daily"))

Saved = Callable[..., str]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def saved() -> Saved:
    """Write a report file; its name."""

    def save(name: str, *reports: RunReport, test: str | None = None) -> str:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(entries_to_json([Entry(test, report) for report in reports]))
        return name

    return save


class TestShow:
    def test_prints_the_table_of_each_invocation(self, typed: Typed, saved: Saved) -> None:
        ended = typed("show", saved("a.json", NIGHT, DAY, test="test_shop.py::test_night"))
        assert ended.code == 0
        assert ended.out.count("run prod, execution_time") == 2
        assert "test_shop.py::test_night" in ended.out
        assert "2 invocations: 2 executed, 1 failed, 2 skipped" in ended.out

    def test_leaves_out_repeated_tries(self, typed: Typed, saved: Saved) -> None:
        file = saved("a.json", NIGHT.model_copy(update={"superseded": True}), DAY)
        ended = typed("show", file)
        assert "sales.weekly" not in ended.out
        assert ended.out.endswith(
            "; left out: 1 invocation superseded by reruns (--all shows them)\n"
        )
        ended = typed("show", "--all", file)
        assert "failure in 2.00 s, superseded by a rerun\n" in ended.out
        assert ended.out.endswith(
            "1 invocation: 2 executed; left out: 1 invocation superseded by reruns\n"
        )
        assert typed("show", "--json", file).out == Path(file).read_text()

    def test_explains_models_from_last_tries(self, typed: Typed, saved: Saved) -> None:
        file = saved("a.json", NIGHT.model_copy(update={"superseded": True}), DAY)
        assert typed("show", file, "--model", "sales.weekly").code == 2
        ended = typed("show", "--all", file, "--model", "sales.weekly")
        assert ended.out.startswith("sales.weekly was skipped")

    def test_reports_that_there_are_only_superseded_tries(self, typed: Typed, saved: Saved) -> None:
        ended = typed("show", saved("a.json", NIGHT.model_copy(update={"superseded": True})))
        assert ended.out == (
            "0 invocations: no models; left out: 1 invocation superseded by reruns "
            "(--all shows them)\n"
        )

    def test_explains_models(self, typed: Typed, saved: Saved) -> None:
        ended = typed("show", saved("a.json", NIGHT), "--model", "sales.daily")
        assert ended.out.startswith("sales.daily was skipped: an upstream model failed")
        assert "blocked by" in ended.out

    def test_suggests_close_matches_for_an_unknown_model(self, typed: Typed, saved: Saved) -> None:
        ended = typed("show", saved("a.json", NIGHT), "--model", "sales.dayly")
        assert ended.code == 2
        assert "sales.daily" in ended.err

    def test_converts_between_formats(self, typed: Typed, saved: Saved) -> None:
        ended = typed(
            "show", "-q", saved("a.json", NIGHT), "--report", "a.md", "--report", "b.json"
        )
        assert (ended.code, ended.out) == (0, "")
        assert "sales.daily" in Path("a.md").read_text()
        assert Path("b.json").read_text() == Path("a.json").read_text()

    def test_reads_a_bare_report_from_standard_input(self, typed: Typed) -> None:
        ended = typed("show", "-", "--json", typed_in=NIGHT.to_json())
        assert ended.code == 0
        assert ended.report == NIGHT

    def test_reads_all_files_of_a_folder(self, typed: Typed, saved: Saved) -> None:
        saved("night/a.json", NIGHT)
        saved("night/b.json", DAY)
        assert "2 invocations" in typed("show", "night").out

    def test_reports_that_an_empty_file_has_nothing_to_show(
        self, typed: Typed, saved: Saved
    ) -> None:
        ended = typed("show", saved("a.json"))
        assert ended.code == 0
        assert "0 invocations" in ended.out


class TestGate:
    def test_reports_unexpected_outcomes(self, typed: Typed, saved: Saved) -> None:
        ended = typed("gate", saved("a.json", NIGHT))
        assert ended.code == 1
        assert "sales.orders failed" in ended.out
        assert "sales.daily was skipped" in ended.out
        assert "sales.weekly" not in ended.out
        assert "gate failed: 1 failure, 1 unexpected skip (3 outcomes in 1 report)" in ended.out

    def test_passes_expected_outcomes(self, typed: Typed, saved: Saved) -> None:
        ended = typed("gate", saved("a.json", DAY))
        assert ended.code == 0
        assert ended.out == "gate passed: 2 outcomes in 1 report\n"

    def test_judges_several_files_together(self, typed: Typed, saved: Saved) -> None:
        ended = typed("gate", saved("a.json", DAY), saved("b.json", NIGHT))
        assert ended.code == 1
        assert "5 outcomes in 2 reports" in ended.out

    def test_prints_json(self, typed: Typed, saved: Saved) -> None:
        ended = typed("gate", saved("a.json", NIGHT), "--json")
        assert ended.code == 1
        result = json.loads(ended.out)
        assert [finding["model"] for finding in result["findings"]] == [
            "sales.orders",
            "sales.daily",
        ]

    def test_uses_the_policy_of_the_current_folder(self, typed: Typed, saved: Saved) -> None:
        Path("pyproject.toml").write_text(
            '[[tool.sqlmesh_tracker.gate.rules]]\nmodels = "*"\nallow = ["failed", "skipped"]\n'
        )
        assert typed("gate", saved("a.json", NIGHT)).code == 0

    def test_writes_reports_with_its_findings(self, typed: Typed, saved: Saved) -> None:
        assert typed("gate", saved("a.json", NIGHT), "--report", "a.md").code == 1
        assert "gate failed" in Path("a.md").read_text().lower()

    def test_writes_junit_with_a_failure_for_each_finding(self, typed: Typed, saved: Saved) -> None:
        typed("gate", saved("a.json", NIGHT), "--report", "a.xml")
        root = ElementTree.parse("a.xml").getroot()
        red = [
            str(case.get("name"))
            for case in root.iter("testcase")
            if case.find("failure") is not None
        ]
        assert red == ["sales.orders", "sales.daily"]

    def test_judges_only_last_tries(self, typed: Typed, saved: Saved) -> None:
        repeated = NIGHT.model_copy(update={"superseded": True})
        ended = typed("gate", saved("a.json", repeated, DAY))
        assert (ended.code, ended.out) == (0, "gate passed: 2 outcomes in 1 report\n")
        ended = typed("gate", saved("a.json", repeated))
        assert ended.code == 2
        assert "no invocation to check: reruns superseded all invocations" in ended.err

    def test_rejects_an_empty_file(self, typed: Typed, saved: Saved) -> None:
        ended = typed("gate", saved("empty.json"))
        assert ended.code == 2
        assert "no invocation to check in the given reports" in ended.err


class TestDiff:
    def test_shows_models_that_executed_before_and_not_now(
        self, typed: Typed, saved: Saved
    ) -> None:
        ended = typed("diff", saved("a.json", DAY), saved("b.json", NIGHT))
        assert ended.code == 0
        assert "no longer executed" in ended.out
        assert "now skipped, upstream_failed: sales.orders" in ended.out

    def test_prints_json(self, typed: Typed, saved: Saved) -> None:
        ended = typed("diff", "--json", saved("a.json", DAY), saved("b.json", NIGHT))
        [comparison] = json.loads(ended.out)["comparisons"]
        assert {change["model"] for change in comparison["changes"]} == {
            *("sales.orders", "sales.daily", "sales.weekly")
        }

    def test_prints_only_the_summary_if_quiet(self, typed: Typed, saved: Saved) -> None:
        ended = typed("diff", "-q", saved("a.json", DAY), saved("b.json", DAY))
        assert ended.out == "no differences (2 models in 1 comparison)\n"

    @pytest.mark.parametrize("form", [[], ["--json"], ["--quiet"]])
    def test_exits_with_1_for_differences_with_exit_code(
        self, typed: Typed, saved: Saved, form: list[str]
    ) -> None:
        day, night = saved("a.json", DAY), saved("b.json", NIGHT)
        alone = saved("c.json", DAY, DAY.model_copy(update={"command": "plan"}))
        ended = saved("d.json", DAY.model_copy(update={"completion": "interrupted"}))
        for new, code in ((day, 0), (night, 1), (alone, 1), (ended, 1)):
            without, with_it = (
                typed("diff", *form, day, new),
                typed("diff", *form, "--exit-code", day, new),
            )
            assert (without.code, with_it.code) == (0, code)
            assert without.out == with_it.out

    def test_exits_with_2_for_invalid_input(self, typed: Typed, saved: Saved) -> None:
        assert typed("diff", "--exit-code", saved("a.json", DAY), "nowhere.json").code == 2

    @pytest.mark.parametrize("slower", [("--slower-by", "nan"), ("--slower-than", "1e300")])
    def test_rejects_a_threshold_that_is_not_a_number(
        self, typed: Typed, saved: Saved, slower: tuple[str, str]
    ) -> None:
        ended = typed("diff", *slower, saved("a.json", DAY), saved("b.json", DAY))
        assert ended.code == 2
        assert f"{slower[0]}" in ended.err

    def test_writes_the_job_summary_on_github(
        self, typed: Typed, saved: Saved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        typed("diff", "--github-summary", saved("a.json", DAY), saved("b.json", NIGHT))
        assert "sales.daily" in (tmp_path / "summary.md").read_text()

    def test_reports_a_job_summary_that_cannot_be_written(
        self, typed: Typed, saved: Saved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
        ended = typed("diff", "--github-summary", saved("a.json", DAY), saved("b.json", DAY))
        assert ended.code == 2
        assert "--github-summary: No such file or directory" in ended.err


class TestDoctor:
    @pytest.mark.long
    def test_reports_whether_sqlmesh_is_supported(self, typed: Typed) -> None:
        ended = typed("doctor")
        assert ended.code == 0, ended.out
        assert ended.out.endswith("Tracking works.\n")

    @pytest.mark.long
    def test_prints_json(self, typed: Typed) -> None:
        assert json.loads(typed("doctor", "--json").out)["degraded"] is False

    @pytest.mark.long
    def test_checks_the_project_of_an_option_or_of_the_folder(
        self, typed: Typed, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.model("s.office", "SELECT 1 AS id", cron="'0 8-18 * * *'")
        ended = typed("doctor", "-p", str(project.path))
        assert ended.code == 0
        assert "warning  crons" in ended.out
        assert ended.out.endswith("Tracking works, but see the warnings above.\n")
        monkeypatch.chdir(project.path)
        assert "warning  crons" in typed("doctor").out


REPORT = NIGHT.to_dict()
WRONG = {
    "is no JSON": "not a report",
    "is cut off": entries_to_json([Entry(None, NIGHT)])[:-200],
    "is empty": "",
    "is of another version": json.dumps({**REPORT, "schema_version": 3}),
    "is a file of another version": json.dumps({"schema_version": 99, "reports": []}),
    "has an unknown status": NIGHT.to_json().replace('"failed"', '"exploded"'),
    "has an unknown field": json.dumps({**REPORT, "surprise": 1}),
    "is a list": "[]",
    "is deep": "[" * 100_000,
    "has a time that UTC does not": NIGHT.to_json().replace(
        '"execution_time": "2024-01-14T06:30:00Z"',
        '"execution_time": "9999-12-31T23:59:59-23:59"',
    ),
    "has text for reports": '{"schema_version": 2, "reports": "none"}',
}


@pytest.mark.parametrize("command", ["show", "gate", "diff"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_is_not_a_report(typed: Typed, saved: Saved, command: str, wrong: str) -> None:
    Path("bad.json").write_text(WRONG[wrong])
    ended = typed(command, saved("good.json", DAY), "bad.json")
    assert ended.code == 2
    assert ended.out == ""
    [line] = ended.err.splitlines()
    assert line.startswith("Error: bad.json: ")
    assert len(line) < 400


def test_text_in_a_file_does_not_control_the_terminal(typed: Typed) -> None:
    Path("bad.json").write_text(json.dumps({**REPORT, "other\x1b[31m": 1}))
    ended = typed("show", "bad.json")
    assert ended.code == 2
    assert "\x1b" not in ended.err
    assert "�[31m" in ended.err


def test_a_folder_without_reports(typed: Typed) -> None:
    Path("folder").mkdir()
    ended = typed("show", "folder")
    assert ended.code == 2
    assert ended.err == "Error: folder: no .json files in this folder\n"


def test_model_and_json_cannot_be_combined(typed: Typed, saved: Saved) -> None:
    assert typed("show", saved("a.json", DAY), "--model", "sales.orders", "--json").code == 2


@pytest.mark.parametrize("command", ["show", "gate", "diff"])
def test_every_unreadable_file_is_named(typed: Typed, command: str) -> None:
    Path("binary.json").write_bytes(b"\xff\xfe\x00\x81")
    ended = typed(command, "nowhere.json", "binary.json")
    assert ended.code == 2
    assert ended.err.splitlines()[0] == "Error: nowhere.json: No such file or directory"
    assert ended.err.splitlines()[1].startswith("binary.json: ")


@pytest.mark.parametrize("text", ["rules = 3", "[[rules]]\nmodel = 'a'", "not toml"])
def test_an_invalid_policy(typed: Typed, saved: Saved, text: str) -> None:
    Path("gate.toml").write_text(text)
    ended = typed("gate", saved("a.json", DAY), "--policy", "gate.toml")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith("Error: gate.toml: ")

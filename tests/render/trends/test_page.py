"""The page of a history: what is in it, whatever the names and errors are."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import uuid4

from pytest_sqlmesh_tracker import AuditOutcome, RunReport
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.trends.reading import read_trends
from pytest_sqlmesh_tracker.history.trends.recent import read_recent
from pytest_sqlmesh_tracker.render.trends.page import page
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, audit, audited, executed, failed, interrupted, run, skipped, unknown

DAY = timedelta(days=1)
HOSTILE = "</script><b>&\N{RIGHT-TO-LEFT OVERRIDE}\udcff"


def night(number: int, *outcomes: Any, **facts: Any) -> RunReport:
    at = NOW + number * DAY
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at, **facts)
    return report.model_copy(update={"id": uuid4()})


def rendered(folder: Path, *reports: RunReport, most: int = 100) -> str:
    folder.mkdir(exist_ok=True)
    history = folder / "runs.duckdb"
    append(history, [Entry(None, report) for report in reports], source="cli")
    return page(read_trends(history), read_recent(history, most=most))


def data_of(text: str) -> list[Any]:
    return [
        json.loads(each)
        for each in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    ]


def rows_of(text: str) -> dict[str, list[str]]:
    """Model → the class of its cell in each invocation."""
    return {
        name: re.findall(r"<td(?: class=(\w))?>", cells)
        for name, cells in re.findall(r'<tr id=.*?<a href="#[^"]*">(.*?)</a></th>(.*?)</tr>', text)
    }


def test_a_cell_shows_what_happened_to_a_model_in_an_invocation(tmp_path: Path) -> None:
    text = rendered(
        tmp_path,
        night(0, executed("a.x"), failed("a.y"), interrupted("a.z")),
        night(1, skipped("a.x"), skipped("a.y", "signal_not_ready"), unknown("a.z")),
        night(2, audited("a.x"), executed("a.y"), executed("a.z"), executed("a.new")),
    )
    assert rows_of(text) == {
        "a.x": ["e", "s", "a"],
        "a.y": ["f", "b", "e"],
        "a.z": ["i", "u", "e"],
        "a.new": ["", "", "e"],
    }


def test_the_data_has_details_of_each(tmp_path: Path) -> None:
    checks = (audit("unique"), audit("not_null", rows_failed=2, blocking=False))
    times: dict[str, Any] = {
        "started_at": NOW + DAY,
        "finished_at": NOW + DAY + timedelta(seconds=2),
    }
    took = executed(
        "a.x",
        duration=timedelta(seconds=2),
        rows=1234,
        audits=checks,
        causes=("reloaded",),
        **times,
    )
    text = rendered(
        tmp_path,
        night(0, failed("a.x", error="ValueError: no luck")),
        night(1, took, completion="success"),
    )
    [data] = data_of(text)
    [model] = data["models"]
    assert model["audits"] == ["unique", "not_null"]
    first, second = model["cells"]
    assert data["texts"][first[2]] == "ValueError: no luck"
    status, message, _, *facts, intervals, also = second
    assert status == 0
    assert data["texts"][message] == took.message
    assert facts == [2000, 1234, "pf"]
    assert data["texts"][intervals] == "2024-01-13"
    assert data["texts"][also] == ""
    assert [run["at"] for run in data["runs"]] == ["2024-01-14 06:30", "2024-01-15 06:30"]
    assert data["runs"][1]["bars"] == [[0, 0, 0, 2000, 1]]


def test_the_data_has_all_reasons(tmp_path: Path) -> None:
    outcome = skipped("a.x", "not_selected", "upstream_failed", "cron_not_due")
    [data] = data_of(rendered(tmp_path, night(0, outcome)))
    [[cell]] = [model["cells"] for model in data["models"]]
    assert data["texts"][cell[-1]] == "upstream_failed, cron_not_due"


def test_the_data_has_long_errors(tmp_path: Path) -> None:
    error = "\n".join(["ValueError: no luck", *("SELECT 1" + ", 1" * 200 for _ in range(6))])
    endless = "ValueError: " + "no luck, " * 1000
    both = night(0, failed("a.x", error=error), failed("a.y", error=endless), error=endless)
    [data] = data_of(rendered(tmp_path, both))
    of_x, of_y = (data["texts"][model["cells"][0][2]] for model in data["models"])
    assert of_x == error
    assert of_y == data["runs"][0]["error"] == f"{endless[:3999]}…"


def test_audits_with_other_arguments_are_told_apart(tmp_path: Path) -> None:
    checks = [
        AuditOutcome(name="not_null", arguments={"columns": column}, passed=passed)
        for column, passed in (("id", True), ("day", False))
    ]
    [data] = data_of(rendered(tmp_path, night(0, executed("a.x", audits=tuple(checks)))))
    [model] = data["models"]
    assert model["audits"] == ["not_null (columns := id)", "not_null (columns := day)"]
    assert model["cells"][0][5] == "pf"


def test_an_invocation_shows_when_models_ran_that_are_gone(tmp_path: Path) -> None:
    times: dict[str, Any] = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=2)}
    text = rendered(tmp_path, night(0, executed("a.old", **times)), night(1, executed("a.x")))
    [data] = data_of(text)
    assert data["runs"][0]["bars"] == [["a.old", 0, 0, 2000, 1]]


def test_reports_that_were_removed_meanwhile_are_missing(tmp_path: Path) -> None:
    history = tmp_path / "runs.duckdb"
    append(history, [Entry(None, night(0, executed("a.x")))], source="cli")
    assert "1 earlier invocation not shown." in page(read_trends(history), {})


def test_a_line_shows_the_durations_of_executions(tmp_path: Path) -> None:
    took = [executed("a.x", duration=timedelta(seconds=seconds)) for seconds in (4, 2)]
    text = rendered(tmp_path, night(0, took[0]), night(1, skipped("a.x")), night(2, took[1]))
    assert '<polyline points="0,1 100,10"/>' in text
    assert "<polyline" not in rendered(tmp_path / "once", night(0, took[0]))


def test_only_the_latest_invocations_are_shown(tmp_path: Path) -> None:
    text = rendered(tmp_path, *(night(n, executed("a.x")) for n in range(7)), most=5)
    assert rows_of(text) == {"a.x": ["e"] * 5}
    assert "2 earlier invocations not shown." in text
    assert "prod: 7 invocations from 2024-01-14 06:30 to 2024-01-20 06:30 UTC" in text


def test_each_environment_has_a_grid(tmp_path: Path) -> None:
    text = rendered(
        tmp_path,
        night(0, executed("a.x")),
        night(1, executed("a.x"), environment="dev"),
    )
    assert [len(data["runs"]) for data in data_of(text)] == [1, 1]
    assert text.index("dev: 1 invocation") < text.index("prod: 1 invocation")


def test_names_and_errors_are_only_text(tmp_path: Path) -> None:
    hostile = failed(f"a.{HOSTILE[:-1]}", error=HOSTILE)
    text = rendered(
        tmp_path, night(0, hostile, environment=HOSTILE[:-1], error=HOSTILE, completion="raised")
    )
    text.encode()
    assert "<b>" not in re.sub(r"<b>[^<]*</b>", "", text)
    seen: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
            seen.append(tag)

    Parser().feed(text)
    assert seen.count("script") == 2
    assert "b" not in seen
    [data] = data_of(text)
    assert data["models"][0]["name"] == "a.</script><b>&\\u202e"


def test_a_history_without_invocations_is_a_page(tmp_path: Path) -> None:
    assert "No invocations." in rendered(tmp_path)

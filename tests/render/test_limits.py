"""What every format shows of models that a rule tolerates for a time, and of data that is old."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.gate import GateResult
from pytest_sqlmesh_tracker.render import junit_file, markdown, terminal
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import executed, failed, run, skipped, utc
from tests.render.page.test_html import Parsed

from .test_markdown import Page

POLICY = GatePolicy(
    [
        {"models": "finance.*", "fresh_within": "26 hours"},
        {"models": "bank.*", "tolerate": {"reason": "signal_not_ready", "for": "2 days"}},
    ]
)
FEED = {"signals": {"feed": ()}}
PATIENT = run(
    skipped("bank.x", "signal_not_ready", waiting_since=utc("2024-01-13"), **FEED),
    skipped(
        "finance.x", "upstream_not_ready", blocked_by=("bank.x",), loaded_through=utc("2024-01-14")
    ),
    executed("finance.y", loaded_through=utc("2024-01-14")),
)
TOO_LATE = run(
    skipped("bank.x", "signal_not_ready", waiting_since=utc("2024-01-11"), **FEED),
    executed("finance.y", loaded_through=utc("2024-01-13")),
)
TOLERATED = [
    "was skipped: its signal was not ready (feed); held back since 2024-01-13 00:00 UTC, tolerated "
    "for 2 days, until 2024-01-15 00:00 UTC (by rule 2 (bank.*))",
    "was skipped: an upstream signal was not ready (bank.x); tolerated as long as bank.x, until "
    "2024-01-15 00:00 UTC",
]
FINDINGS = [
    "was skipped: its signal was not ready (feed); held back since 2024-01-11 00:00 UTC, tolerated "
    "for 2 days, until 2024-01-13 00:00 UTC (by rule 2 (bank.*))",
    "is loaded up to 2024-01-13 00:00 UTC, which is 30 hours 30 minutes old: rule 1 (finance.*) "
    "allows at most 26 hours",
]


def judged(*reports: RunReport) -> tuple[list[Entry], GateResult]:
    return [Entry(None, report) for report in reports], POLICY.evaluate(*reports)


def cases(*reports: RunReport) -> dict[str, ElementTree.Element]:
    """The cases of a JUnit file, by name."""
    root = ElementTree.fromstring(junit_file.suites(*judged(*reports)))
    return {str(case.get("name")): case for case in root.iter("testcase")}


class TestTolerated:
    def test_a_terminal_lists_them_above_the_summary(self) -> None:
        _, result = judged(PATIENT)
        assert terminal.findings(result, width=300).splitlines() == [
            "run of prod at 2024-01-14 06:30 UTC",
            f"  - tolerated: bank.x {TOLERATED[0]}",
            f"  - tolerated: finance.x {TOLERATED[1]}",
            "",
            "gate passed: 3 outcomes in 1 report, 2 allowed by rules",
        ]
        assert "\x1b[36mtolerated\x1b[0m: bank.x" in terminal.findings(result, color=True)

    def test_markdown_lists_them_below_the_warnings(self) -> None:
        page = Page.of(markdown.summary(*judged(PATIENT)))
        assert page.headings[0] == "✅ SQLMesh gate passed"
        assert page.items == [f"⏳ bank.x {TOLERATED[0]}", f"⏳ finance.x {TOLERATED[1]}"]
        assert any(words.startswith("Tolerated: run of prod") for words in page.words)
        assert page.headings[1].startswith("✅ run of prod")

    def test_a_page_lists_them_and_marks_their_models(self) -> None:
        page = Parsed(html.page(*judged(PATIENT)))
        assert f"Tolerated by the gate: 2 tolerated model bank.x {TOLERATED[0]}" in page.words
        assert "finance.x tolerated" in page.words
        assert "skipped · tolerated by the gate" in page.words
        assert "Findings of the gate" not in page.words
        assert page.links[1] == "#00000000/bank.x"

    def test_a_page_folds_them_below_findings(self) -> None:
        def folded(*reports: RunReport) -> bool:
            elements = Parsed(html.page(*judged(*reports))).elements
            [attributes] = [a for t, a in elements if t == "details" and "class" in a]
            return "open" not in attributes

        assert not folded(PATIENT)
        assert folded(PATIENT, run(failed("a.bad")))

    def test_many_alike_are_one(self) -> None:
        report = run(
            *(
                skipped(f"bank.{n}", "signal_not_ready", waiting_since=utc("2024-01-13"), **FEED)
                for n in "abcde"
            )
        )
        entries, result = judged(report)
        words = f"bank.a, bank.b, bank.c and 2 more {TOLERATED[0].replace('was', 'were', 1)}"
        assert words in " ".join(terminal.findings(result).split())
        assert f"⏳ {words}" in Page.of(markdown.summary(entries, result)).items
        assert "Tolerated by the gate: 5" in Parsed(html.page(entries, result)).words

    def test_a_junit_file_says_until_when_a_skip_is_tolerated(self) -> None:
        [skip] = cases(PATIENT)["bank.x"]
        assert (skip.tag, skip.get("message")) == (
            "skipped",
            TOLERATED[0].removeprefix("was skipped: "),
        )

    def test_a_junit_file_says_until_when_the_rest_is_tolerated(self) -> None:
        partly = executed("bank.x", reasons=("signal_not_ready",), waiting_since=utc("2024-01-13"))
        [output] = cases(run(partly))["bank.x"]
        assert output.tag == "system-out"
        assert (output.text or "").startswith("executed in 1 batch; partly held back")
        assert "until 2024-01-15 00:00 UTC" in (output.text or "")


class TestFindings:
    def test_a_terminal_has_them_in_full(self) -> None:
        _, result = judged(TOO_LATE)
        assert terminal.findings(result, width=300).splitlines() == [
            "run of prod at 2024-01-14 06:30 UTC",
            f"  - bank.x {FINDINGS[0]}",
            f"  - finance.y {FINDINGS[1]}",
            "",
            "gate failed: 1 unexpected skip, 1 stale model (2 outcomes in 1 report)",
        ]

    def test_markdown_has_them_in_full(self) -> None:
        page = Page.of(markdown.summary(*judged(TOO_LATE)))
        assert page.items == [f"⚠️ bank.x {FINDINGS[0]}", f"⚠️ finance.y {FINDINGS[1]}"]
        assert [row[:2] for row in page.rows] == [
            ["⚠️ skipped", "bank.x"],
            ["⚠️ executed", "finance.y"],
        ]

    def test_a_page_has_them_in_full(self) -> None:
        words = Parsed(html.page(*judged(TOO_LATE))).words
        assert f"unexpected skip bank.x {FINDINGS[0]}" in words
        assert f"stale model finance.y {FINDINGS[1]}" in words
        assert "finance.y unexpected" in words

    def test_many_alike_are_one(self) -> None:
        old = (executed(f"finance.{n}", loaded_through=utc("2024-01-13")) for n in "abcd")
        _, result = judged(run(*old))
        words = f"finance.a, finance.b, finance.c and 1 more {FINDINGS[1].replace('is', 'are', 1)}"
        assert words in " ".join(terminal.findings(result).split())

    def test_a_junit_file_fails_a_model_whose_data_is_old(self) -> None:
        [failure] = cases(TOO_LATE)["finance.y"]
        assert (failure.tag, failure.get("type")) == ("failure", "stale_model")
        assert failure.get("message") == f"finance.y {FINDINGS[1]}"
        assert f"finance.y {FINDINGS[1]}" in (failure.text or "")

    @pytest.mark.parametrize(
        ("made", "message"),
        [
            (
                failed("finance.y", loaded_through=utc("2024-01-13")),
                "failed: its evaluation raised",
            ),
            (
                skipped("finance.y", "upstream_failed", loaded_through=utc("2024-01-13")),
                "skipped: an upstream model failed",
            ),
        ],
        ids=["failed", "skipped"],
    )
    def test_a_junit_file_begins_with_what_became_of_the_model(
        self, made: object, message: str
    ) -> None:
        [failure] = cases(run(made))["finance.y"]  # type: ignore[arg-type]
        assert failure.get("message", "").startswith(message)
        assert failure.get("type") in ("error", "upstream_failed")
        assert f"finance.y {FINDINGS[1]}" in (failure.text or "")

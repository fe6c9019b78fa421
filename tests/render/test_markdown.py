"""Markdown for GitHub and GitLab, parsed: the order, escaping, and limits of size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.gate import GatePolicy
from pytest_sqlmesh_tracker.render.markdown import difference, summary
from pytest_sqlmesh_tracker.reports.diff import compare
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.rows import needs_attention
from tests.builders import (
    audit,
    audited,
    executed,
    failed,
    interrupted,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import reports, texts, unhurried

OUR_HTML = re.compile(r"<details>\n<summary>[\w ,]+</summary>\n|</details>\n")
OTHERS_MEANING = re.compile(r"[@#<>&|`*\\\[\]~$^]|//|www\.", re.IGNORECASE)

NIGHT = run(
    executed("raw.orders", rows=1204, duration=timedelta(seconds=1.5)),
    skipped("raw.weekly", next_due=utc("2024-01-21")),
    partly_failed("staging.orders"),
    skipped("sales.orders", "upstream_failed", blocked_by=("staging.orders",)),
    completion="failure",
)
QUIET = run(executed("raw.orders"), skipped("raw.weekly"))


@dataclass
class Page:
    """What a reader sees of Markdown."""

    tokens: list[Token]
    headings: list[str]
    tables: list[list[list[str]]]
    items: list[str]
    folds: list[str]

    @classmethod
    def of(cls, markdown: str) -> Page:
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
        page = cls(tokens, [], [], [], [])
        kind = ""
        for token in tokens:
            if token.type == "tr_open":
                page.tables[-1].append([])
            elif token.type == "table_open":
                page.tables.append([])
            elif token.type in ("heading_open", "td_open", "th_open", "list_item_open"):
                kind = token.type
            elif token.type == "html_block":
                page.folds += re.findall("<summary>(.*)</summary>", token.content)
            elif token.type == "inline":
                page._add(kind, "".join(child.content for child in token.children or ()))
                kind = ""
        return page

    def _add(self, kind: str, text: str) -> None:
        if kind == "heading_open":
            self.headings.append(text)
        elif kind == "list_item_open":
            self.items.append(text)
        elif kind:
            self.tables[-1][-1].append(text.replace("\u00a0", " "))

    @property
    def rows(self) -> list[list[str]]:
        """Those of all tables, without their titles."""
        return [row for table in self.tables for row in table[1:]]

    @property
    def words(self) -> list[str]:
        """All that is text, and not in a code span."""
        inline = [child for token in self.tokens for child in token.children or ()]
        return [token.content for token in inline if token.type == "text"]


def page(*reports: RunReport, **arguments: object) -> Page:
    return Page.of(summary([Entry(None, report) for report in reports], **arguments))  # type: ignore[arg-type]


def assert_nothing_quoted_means_anything(shown: Page) -> None:
    inline = [child for token in shown.tokens for child in token.children or ()]
    html = [token.content for token in shown.tokens if token.type == "html_block"]
    assert {t.type for t in inline} <= {
        *("text", "code_inline", "em_open", "em_close", "strong_open", "strong_close")
    }
    assert [text for text in html if not OUR_HTML.fullmatch(text)] == []
    assert html.count("</details>\n") * 2 == len(html)
    assert [text for text in shown.words if OTHERS_MEANING.search(text)] == []
    emphasized = [
        inline[place + 1].content for place, t in enumerate(inline) if t.type == "em_open"
    ]
    assert [text for text in emphasized if not text.startswith("Left out here")] == []
    assert all(len(row) == len(table[0]) for table in shown.tables for row in table)


class TestOrder:
    def test_an_invocation_has_its_completion_in_the_heading_and_a_row_for_each_model(self) -> None:
        shown = page(NIGHT)
        assert shown.headings == [
            "SQLMesh",
            "❌ run of prod at 2024-01-14 06:30 UTC: failure in 2.00 s",
        ]
        assert shown.tables == [
            [
                ["status", "model", "intervals or reason", "rows", "time"],
                [
                    "❌ failed",
                    "staging.orders",
                    "2024-01-01; error in batch 2 of 2; 1 recorded: ValueError: no luck",
                    "",
                    "",
                ],
                ["⚠️ skipped", "sales.orders", "upstream_failed: staging.orders", "", ""],
                ["✅ executed", "raw.orders", "2024-01-13", "1,204", "1.50 s"],
                ["⏭️ skipped", "raw.weekly", "cron_not_due: next due 2024-01-21 00:00 UTC", "", ""],
            ]
        ]

    def test_a_column_has_written_rows_if_they_are_known(self) -> None:
        assert page(QUIET).tables[0][0] == [*("status", "model", "intervals or reason", "time")]

    @pytest.mark.parametrize(
        ("made", "cell"),
        [
            (interrupted("a.x"), "⛔ interrupted"),
            (unknown("a.x"), "❓ unknown"),
            (audited("a.x", audit("unique")), "🔍 audited"),
        ],
    )
    def test_a_status_is_a_symbol_and_a_word(self, made: object, cell: str) -> None:
        assert page(run(made)).rows[0][0] == cell  # type: ignore[arg-type]

    def test_models_that_a_plan_removes_are_listed(self) -> None:
        shown = page(run(executed("a.x"), command="plan", removed=("a.old",)))
        assert shown.rows[1] == ["🗑️ removed", "a.old", "the plan removes it", ""]

    def test_the_error_of_a_command_is_shown(self) -> None:
        raised = run(completion="raised", error="SQLMeshError: no such\n  environment")
        shown = page(raised, QUIET)
        assert "❌" in shown.headings[1]
        assert "raised `SQLMeshError: no such environment`" in summary([Entry(None, raised)])
        stopped = run(completion="interrupted", error="terminated by SIGTERM")
        assert "interrupted: `terminated by SIGTERM`" in summary([Entry(None, stopped)])
        assert "\n2 invocations: 1 executed, 1 skipped\n" in summary(
            [Entry(None, raised), Entry(None, QUIET)]
        )

    def test_an_error_without_words_has_no_code_span(self) -> None:
        assert "`" not in summary([Entry(None, run(completion="raised", error=""))])

    def test_a_page_without_invocations_states_so(self) -> None:
        assert summary([]) == "## SQLMesh\n\n0 invocations: no models\n\n"

    def test_invocations_that_need_attention_come_first(self) -> None:
        strange = run(skipped("a.x", "signal_not_ready"), environment="dev")
        shown = page(QUIET, strange)
        assert [heading[:12] for heading in shown.headings] == [
            *("SQLMesh", "⚠️ run of dev"[:12], "✅ run of prod"[:12])
        ]
        assert shown.folds == []

    def test_repeated_tries_are_left_out_and_counted(self) -> None:
        repeated = NIGHT.model_copy(update={"superseded": True})
        entries = [Entry("test_shop.py::test_it", report) for report in (repeated, QUIET)]
        markdown = summary(entries)
        assert len(Page.of(markdown).headings) == 2
        assert "1 invocation: 1 executed, 1 skipped; left out: 1 invocation sup" in markdown
        assert "failed" not in markdown
        denied = GatePolicy([{"models": "raw.orders", "deny": "executed"}]).evaluate(*entries)
        assert "⚠️ run of prod" in Page.of(summary(entries, denied)).headings[1]

    def test_the_test_of_an_invocation_is_named(self) -> None:
        markdown = summary([Entry("tests/test_shop.py::TestShop::test_night[a|b]", QUIET)])
        assert Page.of(markdown).headings[1] == (
            "✅ run of prod at 2024-01-14 06:30 UTC, in tests/test_shop.py::TestShop::"
            "test_night[a|b]: success in 2.00 s"
        )


class TestFolds:
    """Long text that is not essential is folded."""

    MANY = tuple(executed(f"a.m{number}") for number in range(21))

    def test_many_expected_outcomes_are_folded_below_the_others(self) -> None:
        shown = page(run(*self.MANY, failed("a.bad"), command="plan", removed=("a.old",)))
        assert [len(table) - 1 for table in shown.tables] == [1, 22]
        assert shown.folds == ["21 executed, 1 removed, as expected"]

    def test_expected_outcomes_are_folded_if_nothing_needs_attention(self) -> None:
        shown = page(run(*self.MANY))
        assert [len(table) - 1 for table in shown.tables] == [21]
        assert shown.folds == ["21 executed"]

    def test_many_removals_are_folded(self) -> None:
        removed = tuple(f"a.m{number}" for number in range(21))
        assert page(run(command="plan", removed=removed)).folds == ["21 removed"]

    def test_many_expected_invocations_share_a_fold(self) -> None:
        shown = page(run(*self.MANY), run(*self.MANY), NIGHT)
        assert shown.folds == ["2 other invocations, as expected"]
        assert len(shown.headings) == 4

    def test_many_findings_continue_in_a_fold(self) -> None:
        bad = run(*(failed(f"a.m{number}", error=f"ValueError: {number}") for number in range(60)))
        shown = page(bad, result=GatePolicy().evaluate(bad))
        assert len(shown.items) == 60
        assert shown.folds == ["10 findings more"]


class TestGate:
    def test_the_verdict_is_first_and_findings_are_by_invocation(self) -> None:
        policy = GatePolicy([{"models": "no.such", "allow": ["failed"]}])
        shown = page(QUIET, NIGHT, result=policy.evaluate(QUIET, NIGHT))
        assert shown.headings[0] == "❌ SQLMesh gate failed"
        assert shown.items[:2] == [
            "❌ staging.orders failed in batch 2 of 2; 1 recorded: its evaluation raised "
            "ValueError: no luck",
            "⚠️ sales.orders was skipped: an upstream model failed (staging.orders)",
        ]
        assert shown.items[2].startswith("⚠️ rule 1 (no.such): no model 'no.such' in the reports")
        assert "The policy" in shown.words

    def test_a_passed_gate_is_shown(self) -> None:
        shown = page(QUIET, result=GatePolicy().evaluate(QUIET))
        assert shown.headings[0] == "✅ SQLMesh gate passed"
        assert shown.items == []

    def test_allowed_outcomes_need_no_attention(self) -> None:
        policy = GatePolicy([{"models": "*", "allow": ["failed", "skipped"]}])
        shown = page(NIGHT, result=policy.evaluate(NIGHT))
        assert [row[0] for row in shown.rows] == [
            *("✅ executed", "⏭️ skipped", "❌ failed", "⏭️ skipped")
        ]

    def test_unmet_requirements_need_attention(self) -> None:
        policy = GatePolicy([{"models": "raw.weekly", "require": "executed"}])
        shown = page(QUIET, result=policy.evaluate(QUIET))
        assert shown.rows[0][:2] == ["⚠️ skipped", "raw.weekly"]
        assert shown.items[0].startswith("❌ raw.weekly must execute")

    def test_a_command_that_raised_is_a_finding_without_a_model(self) -> None:
        raised = run(executed("a.x"), completion="raised", error="OSError: disk full")
        shown = page(raised, result=GatePolicy().evaluate(raised))
        assert shown.items == ["❌ the run raised OSError: disk full"]
        assert shown.headings[1].startswith("❌ run of prod")


HOSTILE = [
    *("a|b", r"a\|b", "`", "``a`", "<b>x</b>", "<!-- x", "</details>", "@octocat", "x #123"),
    *("GH-7", "[a](http://x.y)", "![a](b)", "http://x.y", "www.x.y", "*a*", "_a_", "a\nb", "# a"),
    *("- a", "1. a", "&lt;", "\\", "a\\", "~~a~~", "$x$", ":tada:", "\x1b[31mred", "a\u202eb"),
    *("\ud800", "\x00", "| a | b |", "|", "!1", "%2", "^a^", "==a==", "x" * 1_000_000),
]


class TestSafety:
    """Whatever names and errors hold, it is shown, and means nothing."""

    @pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
    def test_text_of_a_project_is_escaped(self, text: str) -> None:
        bad = run(
            failed(text, error=text),
            skipped("a.y", "upstream_failed", blocked_by=(text,)),
            environment=text,
            error=text,
            completion="raised",
            removed=(text,),
        )
        markdown = summary([Entry(text, bad)], GatePolicy().evaluate((text, bad)))
        shown = Page.of(markdown)
        assert_nothing_quoted_means_anything(shown)
        assert len(markdown.encode()) < 20_000
        assert [row[1] for row in shown.rows] == [name_of(text), "a.y", name_of(text)]
        assert len(shown.items) == 2

    @given(st.text("`|\\<>@#*_[]()!~$:;&/.'\"-+ awgh1\n", max_size=40))
    def test_messages_are_complete(self, message: str) -> None:
        shown = page(run(unknown("a.x", f"x {message}")))
        assert_nothing_quoted_means_anything(shown)
        assert shown.rows[0][2] == " ".join(f"x {message}".split())

    @unhurried
    @given(st.lists(st.tuples(st.none() | texts, reports()), max_size=3), st.booleans())
    def test_any_reports_have_a_row_for_each_model(
        self, entries: list[Entry], judged: bool
    ) -> None:
        result = GatePolicy().evaluate(*entries) if judged else None
        markdown = summary(entries, result)
        assert markdown == summary(entries, result)
        shown = Page.of(markdown)
        assert_nothing_quoted_means_anything(shown)
        assert sorted(row[1] for row in shown.rows) == sorted(names(entries))
        judgements = () if result is None else (*result.findings, *result.warnings)
        assert len(shown.items) == len(judgements)

    @unhurried
    @given(reports(), reports())
    def test_text_of_any_difference_is_escaped(self, old: RunReport, new: RunReport) -> None:
        diff = compare([old], [new])
        shown = Page.of(difference(diff))
        assert_nothing_quoted_means_anything(shown)
        assert [row[1] for row in shown.rows] == [name_of(change.model) for change in diff.changes]


def names(entries: Iterable[Entry]) -> list[str]:
    """The models that are shown."""
    shown = [report for _, report in entries if not report.superseded]
    models = [
        (*(o.name for o in r.outcomes.values() if o.is_counted or needs_attention(o)), *r.removed)
        for r in shown
    ]
    return [name_of(name) for one in models for name in one]


class TestLimit:
    """A page that is too large is cut at rows and says what is missing."""

    BIG = run(*(executed(f"a.m{n}") for n in range(100)), failed("a.bad"), failed("a.worse"))

    def sized(self, entries: Sequence[Entry], limit: int) -> str:
        markdown = summary(entries, GatePolicy().evaluate(*entries), limit=limit)
        assert len(markdown.encode()) <= limit
        assert_nothing_quoted_means_anything(Page.of(markdown))
        return markdown

    def test_a_page_within_the_limit_is_complete(self) -> None:
        entries = [Entry(None, self.BIG)]
        whole = summary(entries)
        assert summary(entries, limit=len(whole.encode())) == whole

    def test_expected_rows_are_left_out_first(self) -> None:
        markdown = self.sized([Entry(None, self.BIG), Entry(None, QUIET)], 3000)
        shown = Page.of(markdown)
        left = 104 - len(shown.rows)
        assert [row[1] for row in shown.rows[:2]] == ["a.bad", "a.worse"]
        assert 0 < left < 104
        assert f"_Left out here: {left - 2} models_\n" in markdown
        assert markdown.endswith(
            "**Left out of this page, which is limited to 3,000 bytes:** "
            f"{left} models, including all of 1 invocation\n"
        )

    def test_a_table_that_is_left_out_is_replaced_by_a_note(self) -> None:
        markdown = self.sized([Entry(None, self.BIG)], 1050)
        assert len(Page.of(markdown).rows) == 2
        assert Page.of(markdown).folds == []
        assert "| 0.00 s |" not in markdown
        assert "\n\n_Left out here: 100 models_\n" in markdown

    def test_many_findings_are_shortened_in_favor_of_tables(self) -> None:
        bad = run(*(failed(f"a.m{number}", error=f"ValueError: {number}") for number in range(100)))
        shown = Page.of(self.sized([Entry(None, bad)], 11_000))
        assert len(shown.rows) == 100
        assert 50 <= len(shown.items) < 100

    def test_a_tiny_limit_makes_an_empty_page(self) -> None:
        assert summary([Entry(None, self.BIG)], limit=0) == ""
        assert summary([Entry(None, self.BIG)], limit=100) == ""

    def test_a_difference_is_shortened_as_well(self) -> None:
        diff = compare([run()], [self.BIG])
        markdown = difference(diff, limit=3000)
        assert len(markdown.encode()) <= 3000
        left = 102 - len(Page.of(markdown).rows)
        assert markdown.endswith(f"3,000 bytes:** {left} changes\n")

    @unhurried
    @given(
        st.lists(st.tuples(st.none() | texts, reports()), min_size=1, max_size=4),
        st.integers(0, 6000),
    )
    def test_shown_and_omitted_rows_add_up_to_all(self, entries: list[Entry], limit: int) -> None:
        markdown = self.sized(entries, limit)
        left = re.search(r"bytes:\*\*.* (\d+) models?\b", markdown)
        if markdown:
            missing = int(left[1]) if left else 0
            assert len(Page.of(markdown).rows) + missing == len(names(entries))


class TestDifference:
    def test_a_row_shows_what_differs_and_how(self) -> None:
        markdown = difference(compare([QUIET], [run(skipped("raw.orders", "signal_not_ready"))]))
        shown = Page.of(markdown)
        assert shown.headings == [
            "SQLMesh: differences",
            "run of prod, 2024-01-14 06:30 UTC: success in 2.00 s → success in 2.00 s",
        ]
        assert shown.rows == [
            ["no longer executed", "raw.orders", "now skipped, signal_not_ready"],
            [
                *("no longer listed", "raw.weekly"),
                "before: skipped, cron_not_due",
            ],
        ]

    def test_the_completion_is_in_the_heading_and_the_error_below(self) -> None:
        raised = QUIET.model_copy(update={"completion": "raised", "error": "OSError: <gone>"})
        markdown = difference(compare([QUIET], [raised]))
        assert "success in 2.00 s → raised in 2.00 s\n\nraised `OSError: <gone>`\n" in markdown
        assert Page.of(markdown).tables == []

    def test_models_on_only_one_side_are_listed(self) -> None:
        old = [("t.py::a", QUIET), ("t.py::gone", QUIET)]
        shown = Page.of(difference(compare(old, [("t.py::a", QUIET), ("t.py::b", NIGHT)])))
        assert shown.headings[1:] == ["Only in the old reports", "Only in the new reports"]
        assert shown.items == ["run of prod, in t.py::gone", "run of prod, in t.py::b"]

    def test_many_changes_continue_in_a_fold(self) -> None:
        shown = Page.of(difference(compare([run()], [TestLimit.BIG])))
        assert [len(table) - 1 for table in shown.tables] == [50, 52]
        assert shown.folds == ["52 more"]

    def test_no_difference_is_one_line(self) -> None:
        assert difference(compare([QUIET], [QUIET])) == (
            "## SQLMesh: differences\n\nno differences (2 models in 1 comparison)\n\n"
        )


def test_deceptive_characters_in_names_are_replaced() -> None:
    assert printable("a\u202eb\x1b[1m\ud800\n") == "a�b�[1m�\n"

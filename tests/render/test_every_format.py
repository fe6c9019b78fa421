"""What every format shows: failed non-blocking audits, and everything that a gate warns of."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.gate import GateResult
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.render import junit, junit_file, markdown, terminal
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.reports.diff import compare
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.wording.invocations import statuses, totals_line
from pytest_sqlmesh_tracker.wording.table import table
from tests.builders import (
    audit,
    audited,
    executed,
    failed,
    interrupted,
    interval,
    run,
    skipped,
    utc,
)
from tests.render.page.test_html import Parsed

from .test_markdown import Page

POSITIVE = audit("positive", rows_failed=3, blocking=False)
AUDITS = (audit("not_null"), POSITIVE)
WORDS = "a non-blocking audit failed: positive (3 rows)"
NIGHT = run(
    skipped("a.late"),
    executed("a.fine", audits=(audit("not_null"),)),
    executed("a.odd", audits=AUDITS),
)


class TestNonBlockingAudits:
    @pytest.mark.parametrize(
        ("report", "reason"),
        [
            (run(executed("a.x", audits=AUDITS)), f"2024-01-13; {WORDS}"),
            (
                run(executed("a.x", audits=AUDITS, reasons=("signal_not_ready",))),
                f"2024-01-13; signal_not_ready: partly held back; {WORDS}",
            ),
            (run(audited("a.x", *AUDITS)), f"1 passed, 1 failed; {WORDS}"),
            (run(failed("a.x", audits=AUDITS)), f"error; {WORDS}"),
            (
                run(failed("a.x", "audit_failed", audits=(audit("key", rows_failed=1), POSITIVE))),
                f"audit_failed: key; {WORDS}",
            ),
            (run(executed("a.x", audits=AUDITS, message="")), f"2024-01-13; {WORDS}"),
            (run(audited("a.x", *AUDITS, message="audited: as told before")), f"; {WORDS}"),
        ],
    )
    def test_tables_name_them_once(self, report: RunReport, reason: str) -> None:
        row = table(report, width=200).splitlines()[2]
        assert reason in row
        assert row.count("positive") == 1
        [cells] = Page.of(markdown.summary([Entry(None, report)])).rows
        assert cells[2].count("positive") == 1
        assert cells[2].endswith(WORDS)

    def test_a_page_has_them_in_the_table_and_in_the_models_details(self) -> None:
        words = Parsed(html.page([Entry(None, NIGHT)])).words
        rows, _, details = words.partition("a.odd executed")
        assert f"in 1 batch; {WORDS}" in rows
        assert "positive 3 rows failed, non-blocking" in details

    def test_junit_properties_name_them(self) -> None:
        other = run(audited("a.odd", *AUDITS), audited("a.two", POSITIVE, *AUDITS[:1]))
        assert junit.properties([NIGHT, other])[-1] == (
            "sqlmesh_nonblocking_audit_failed",
            "a.odd (positive), a.two (positive)",
        )

    def test_totals_do_not_depend_on_them(self) -> None:
        assert "2 executed, 1 skipped" in markdown.summary([Entry(None, NIGHT)])

    def test_a_model_that_has_one_is_left_out_last(self) -> None:
        shown = table(NIGHT, limit=1)
        assert "a.odd" in shown
        assert "not shown: 1 cron_not_due, 1 executed" in shown

    def test_a_model_that_has_one_needs_attention(self) -> None:
        page = Page.of(markdown.summary([Entry(None, run(executed("a.x"))), Entry(None, NIGHT)]))
        assert page.headings[1].startswith("⚠️ run of prod")
        assert page.rows[0][:2] == ["⚠️ executed", "a.odd"]
        assert page.headings[2].startswith("✅ run of prod")


BEHIND = executed(
    "a.child",
    causes=("new_interval",),
    upstream_behind={"s.orders": (interval("2024-01-07", "2024-01-08"),)},
)
AHEAD = "evaluated ahead of s.orders, which had not loaded 2024-01-07"
MORNING = run(executed("a.fine"), BEHIND)


class TestUpstreamBehind:
    """A model that was evaluated over intervals that one upstream had not loaded."""

    def test_a_sentence_has_it_last(self) -> None:
        assert BEHIND.message == f"executed in 1 batch: new interval; {AHEAD}"

    def test_several_upstream_models_are_counted(self) -> None:
        days = (interval("2024-01-07", "2024-01-08"), interval("2024-01-10", "2024-01-11"))
        made = executed("a.x", upstream_behind=dict.fromkeys("bcde", days))
        assert made.message == (
            "executed in 1 batch; evaluated ahead of 4 models that were not loaded: "
            "b (2024-01-07 and 1 more), c (2024-01-07 and 1 more), d (2024-01-07 and 1 more) "
            "and 1 more"
        )

    def test_a_paragraph_has_it_as_a_fact(self) -> None:
        lines = MORNING.explain("a.child").splitlines()
        assert lines[0] == f"a.child was executed in 1 batch: new interval; {AHEAD}"
        assert "  upstream    s.orders had not loaded 2024-01-07" in lines

    def test_tables_have_it_with_the_intervals(self) -> None:
        row = table(MORNING, width=200).splitlines()[3]
        assert f"2024-01-13: new_interval; {AHEAD}" in row
        page = Page.of(markdown.summary([Entry(None, MORNING)]))
        assert page.headings[1].startswith("⚠️ run of prod")
        assert page.rows[0][:3] == [
            "⚠️ executed",
            "a.child",
            f"2024-01-13: new_interval; {AHEAD}",
        ]

    def test_a_page_has_it_with_a_link(self) -> None:
        words = Parsed(html.page([Entry(None, MORNING)])).words
        rows, _, details = words.partition("a.child executed")
        assert AHEAD in rows
        assert "Evaluated ahead of s.orders not in this report had not loaded 2024-01-07" in details

    def test_a_junit_file_has_it_as_output_and_property(self) -> None:
        root = ElementTree.fromstring(junit_file.suites([Entry(None, MORNING)]))
        assert [out.text for out in root.iter("system-out")][1] == BEHIND.message
        assert dict(junit_properties(MORNING))["sqlmesh_upstream_behind"] == "a.child (s.orders)"

    def test_printing_the_report_has_it(self) -> None:
        assert AHEAD in str(MORNING)


class TestNotEvaluatable:
    """External and embedded models without audits are listed, but only where all is shown."""

    REPORT = run(
        skipped("raw.rates", "not_evaluatable", kind="external"),
        executed("a.x", upstream=("raw.rates",)),
        skipped("a.shared", "not_evaluatable", kind="embedded"),
        skipped("a.y"),
    )

    def test_only_their_own_set_contains_them(self) -> None:
        assert self.REPORT.skipped == {"a.y"}
        assert self.REPORT.not_evaluatable == {"raw.rates", "a.shared"}
        assert self.REPORT.by_reason["not_evaluatable"] == self.REPORT.not_evaluatable
        assert [outcome.name for outcome in self.REPORT.counted] == ["a.x", "a.y"]

    def test_one_that_was_never_planned_is_counted(self) -> None:
        """The gate reports it: whether it has audits is not known yet."""
        report = run(skipped("raw.new", "not_in_environment", kind="external"))
        assert report.skipped == {"raw.new"}

    def test_totals_do_not_count_them(self) -> None:
        assert "1 executed (a.x), 1 skipped" in self.REPORT.explain("a.y")
        assert "1 executed, 1 skipped" in repr(self.REPORT)
        assert totals_line([self.REPORT]) == "1 invocation: 1 executed, 1 skipped"
        assert statuses(self.REPORT.outcomes.values()) == "1 executed, 1 skipped"
        assert GatePolicy().evaluate(self.REPORT).outcomes == 2
        assert dict(junit.properties([self.REPORT]))["sqlmesh_skipped"] == "a.y (cron_not_due)"

    def test_tables_leave_them_out(self) -> None:
        assert len(table(self.REPORT).splitlines()) == 4
        assert "not shown: 1 cron_not_due" in table(self.REPORT, limit=1)
        assert [row[1] for row in Page.of(markdown.summary([Entry(None, self.REPORT)])).rows] == [
            "a.x",
            "a.y",
        ]
        root = ElementTree.fromstring(junit_file.suites([Entry(None, self.REPORT)]))
        cases = root.iter("testcase")
        assert [case.get("name") for case in cases] == ["a.x", "a.y"]

    def test_full_tables_include_them(self) -> None:
        for shown in (self.REPORT.table(), table(self.REPORT, everything=True)):
            rows = [line.split()[1] for line in shown.splitlines()[2:]]
            assert rows == list(self.REPORT.outcomes)

    def test_a_page_has_them_in_the_graph_and_counts_the_others(self) -> None:
        page = Parsed(html.page([Entry(None, self.REPORT)]))
        assert "1 executed 1 skipped 1 invocation" in page.words
        assert "2 models" in page.words
        extra = [a for t, a in page.elements if t == "tr" and "data-extra" in a]
        assert len(extra) == 2
        assert "raw.rates skipped" in page.words

    def test_one_that_a_rule_denies_is_shown(self) -> None:
        policy = GatePolicy([{"models": "raw.rates", "deny": "not_evaluatable"}])
        result = policy.evaluate(self.REPORT)
        page = Page.of(markdown.summary([Entry(None, self.REPORT)], result))
        assert page.rows[0][:2] == ["⚠️ skipped", "raw.rates"]
        root = ElementTree.fromstring(junit_file.suites([Entry(None, self.REPORT)], result))
        assert next(root.iter("testcase")).get("name") == "raw.rates"

    def test_comparisons_leave_them_out(self) -> None:
        diff = compare([self.REPORT], [run(executed("a.x"), skipped("a.y"))])
        assert diff.empty
        assert diff.comparisons[0].models == 2

    def test_comparisons_include_one_that_gets_audits(self) -> None:
        before = run(skipped("raw.rates", "not_evaluatable", kind="external"))
        [change] = compare([before], [run(audited("raw.rates", audit("unique")))]).changes
        assert change.kind == "changed_status"

    def test_exact_outcomes_need_not_name_them(self) -> None:
        self.REPORT.assert_outcomes({"a.x": "executed", "a.y": "skipped"}, exact=True)
        self.REPORT.assert_outcomes(
            {"a.x": "executed", "a.y": "skipped", "raw.rates": "not_evaluatable"}, exact=True
        )


class TestWaiting:
    """Since when a model waits, where the end of the wait is unknown."""

    HELD = skipped(
        "a.held",
        "signal_not_ready",
        signals={"feed": (interval("2024-01-12", "2024-01-14"),)},
        held_back=(interval("2024-01-12", "2024-01-14"),),
        waiting_since=utc("2024-01-13"),
    )

    def test_tables_show_it(self) -> None:
        words = "signal_not_ready: feed, waiting since 2024-01-13 00:00 UTC"
        assert words in table(run(self.HELD), width=200)
        assert words in str(run(self.HELD))
        assert Page.of(markdown.summary([Entry(None, run(self.HELD))])).rows[0][2] == words

    def test_tables_show_it_for_partially_held_back_models(self) -> None:
        made = executed("a.x", reasons=("signal_not_ready",), waiting_since=utc("2024-01-13"))
        words = "signal_not_ready: partly held back, waiting since 2024-01-13 00:00 UTC"
        assert words in table(run(made), width=200)

    def test_a_paragraph_shows_it_after_the_held_back_intervals(self) -> None:
        lines = run(self.HELD).explain("a.held").splitlines()
        assert lines[2:4] == [
            "  intervals   2 days held back: 2024-01-12 .. 2024-01-13",
            "  waiting     since 2024-01-13 00:00:00 UTC",
        ]
        details = Parsed(html.page([Entry(None, run(self.HELD))])).words
        assert "waiting since 2024-01-13 00:00 UTC" in details

    def test_models_that_wait_only_for_their_cron_do_not_show_it(self) -> None:
        made = skipped("a.x", waiting_since=utc("2024-01-13"))
        assert "waiting" not in run(made).explain("a.x")
        assert "waiting" not in table(run(made))

    def test_models_that_wait_for_the_next_run_show_it_only_in_the_paragraph(self) -> None:
        made = executed(
            "a.x",
            reasons=("plan_limit",),
            held_back=(interval("2024-01-12", "2024-01-14"),),
            waiting_since=utc("2024-01-13"),
        )
        assert "  waiting     since 2024-01-13 00:00:00 UTC" in run(made).explain("a.x")
        row = table(run(made), width=200).splitlines()[2]
        assert row.split(maxsplit=2)[2] == "2024-01-13; plan_limit: 2 days left for the next run"


class TestPlanLimit:
    @pytest.mark.parametrize(
        ("reasons", "words"),
        [
            (("plan_limit",), "plan_limit: the rest left for the next run"),
            (("plan_limit", "signal_not_ready"), "signal_not_ready: partly held back"),
        ],
    )
    def test_is_shown_if_it_is_the_only_reason(self, reasons: tuple[str, ...], words: str) -> None:
        report = run(executed("a.x", reasons=reasons), command="plan")
        assert words in table(report, width=200)
        assert Page.of(markdown.summary([Entry(None, report)])).rows[0][2] == f"2024-01-13; {words}"

    def test_is_shown_as_the_reason_of_a_skipped_model(self) -> None:
        report = run(skipped("a.x", "plan_limit"), command="plan")
        assert "a.x    plan_limit\n" in table(report) + "\n"


class TestWarnings:
    @staticmethod
    def judged(*reports: RunReport) -> tuple[list[Entry], GateResult]:
        return [Entry(None, report) for report in reports], GatePolicy().evaluate(*reports)

    def test_a_terminal_has_them_below_the_findings(self) -> None:
        _, result = self.judged(run(failed("a.bad"), executed("a.odd", audits=AUDITS)))
        shown = terminal.findings(result)
        assert shown.splitlines() == [
            "run of prod at 2024-01-14 06:30 UTC",
            "  - a.bad failed: its evaluation raised ValueError: no luck",
            "",
            "run of prod at 2024-01-14 06:30 UTC",
            "  - warning: a.odd has a failed non-blocking audit: positive (3 rows)",
            "",
            "gate failed: 1 failure (2 outcomes in 1 report, 1 warning)",
        ]
        assert "\x1b[33mwarning\x1b[0m: a.odd" in terminal.findings(result, color=True)

    def test_a_terminal_lists_at_most_as_many_of_them_as_of_findings(self) -> None:
        _, result = self.judged(*[NIGHT] * 60)
        lines = terminal.findings(result).splitlines()
        assert sum("warning: " in line for line in lines) == 50
        assert lines[-3:] == ["and 10 more", "", result.summary]

    def test_markdown_has_them_below_the_findings(self) -> None:
        entries, result = self.judged(run(failed("a.bad")), NIGHT)
        page = Page.of(markdown.summary(entries, result))
        assert page.headings[0] == "❌ SQLMesh gate failed"
        assert page.items == [
            "❌ a.bad failed: its evaluation raised ValueError: no luck",
            "⚠️ a.odd has a failed non-blocking audit: positive (3 rows)",
        ]
        assert any(words.startswith("Warnings: run of prod") for words in page.words)

    def test_markdown_folds_many_of_them(self) -> None:
        entries, result = self.judged(*[NIGHT] * 60)
        page = Page.of(markdown.summary(entries, result))
        assert page.headings[0] == "✅ SQLMesh gate passed"
        assert "10 warnings more" in page.folds

    def test_a_failure_with_only_a_warning_has_the_symbol_of_a_warning(self) -> None:
        policy = GatePolicy([{"models": "a.bad", "deny": "failed", "severity": "warning"}])
        report = run(failed("a.bad"), completion="failure")
        page = Page.of(markdown.summary([Entry(None, report)], policy.evaluate(report)))
        assert page.items[0].startswith("⚠️ a.bad failed")

    def test_a_page_has_them_with_links_to_their_models(self) -> None:
        entries, result = self.judged(run(executed("a.fine")), NIGHT)
        page = Parsed(html.page(entries, result))
        assert "gate passed: 4 outcomes in 2 reports, 1 warning" in page.words
        assert "Warnings of the gate: 1 nonblocking audit failed a.odd has" in page.words
        assert "Findings of the gate" not in page.words
        assert page.links[1] == "#00000000-2/a.odd"
        assert "a.odd warning" in page.words
        assert "executed · the gate warns about it" in page.words
        assert page.chosen() == "00000000-2"

    def test_a_page_folds_them_below_findings(self) -> None:
        def folded(*reports: RunReport) -> bool:
            page = Parsed(html.page(*self.judged(*reports)))
            [attributes] = [a for t, a in page.elements if t == "details" and "class" in a]
            return "open" not in attributes

        assert folded(NIGHT, run(failed("a.bad")))
        assert not folded(NIGHT)

    def test_a_page_folds_many_of_them(self) -> None:
        entries, result = self.judged(*[NIGHT] * 8)
        assert "2 more warnings" in Parsed(html.page(entries, result)).words

    def test_an_interrupted_command_is_in_every_format(self) -> None:
        entries, result = self.judged(run(completion="interrupted", error="KeyboardInterrupt"))
        message = "the run was interrupted: KeyboardInterrupt"
        assert message in terminal.findings(result)
        assert Page.of(markdown.summary(entries, result)).items == [f"❌ {message}"]
        page = Parsed(html.page(entries, result))
        assert f"command interruption {message}" in page.words
        assert page.links[1] == "#00000000"
        assert Page.of(markdown.summary(entries)).headings[1].startswith("❌ run of prod")


BUSY = EnvironmentState(unfinished_plan="1a2b3c4d5e6f", environments=("dev", "prod"))
WAITS = (
    "plan 1a2b3c4d of prod is not finished; if it failed or was stopped, apply a plan to prod: "
    "until then, runs wait (environments: dev, prod)"
)
CUT_OFF = run(
    interrupted("a.x", "environment_busy", message=f"interrupted: {WAITS}"),
    interrupted("a.y", "environment_busy", message=f"interrupted: {WAITS}"),
    completion="interrupted",
    environment_state=BUSY,
)
UNREAD = run(executed("a.x"), project_files="not_read", project_files_note="it took too long")


class TestNotesOnAnInvocation:
    """What concerns all models is stated once, above them."""

    def test_are_below_the_heading_of_a_table(self) -> None:
        lines = table(CUT_OFF, width=200).splitlines()
        assert lines[1] == WAITS
        assert [line.split()[-1] for line in lines[3:]] == ["environment_busy"] * 2

    def test_are_in_other_formats(self) -> None:
        assert WAITS in markdown.summary([Entry(None, CUT_OFF)]).replace("\\", "")
        assert WAITS in Parsed(html.page([Entry(None, CUT_OFF)])).words
        properties = dict(junit_properties(CUT_OFF))
        assert properties["sqlmesh_note"] == WAITS

    def test_are_left_out_if_the_error_has_the_same_text(self) -> None:
        report = CUT_OFF.model_copy(update={"error": f"EnvironmentBusyError: {WAITS}"})
        assert table(report, width=300).count("is not finished") == 1

    def test_state_that_files_were_not_read(self) -> None:
        note = "the project's files were not read: it took too long"
        assert table(UNREAD, width=200).splitlines()[1] == note
        assert note in Parsed(html.page([Entry(None, UNREAD)])).words

    def test_state_that_the_reason_is_unknown(self) -> None:
        unread = UNREAD.model_copy(update={"project_files_note": None})
        assert "were not read: unknown reason" in table(unread)

    def test_are_absent_if_nothing_is_wrong(self) -> None:
        well = run(executed("a.x"), project_files="read")
        assert len(table(well).splitlines()) == 3


class TestUnreadFilesInTheGate:
    def test_are_a_warning(self) -> None:
        result = GatePolicy().evaluate(UNREAD)
        assert result.passed
        [warning] = result.warnings
        assert (warning.kind, warning.model) == ("project_files_not_read", None)
        assert warning.message == "the project's files were not read: it took too long"
        assert result.summary == "gate passed: 1 outcome in 1 report, 1 warning"

    def test_are_a_warning_with_an_unknown_reason(self) -> None:
        unread = UNREAD.model_copy(update={"project_files_note": None})
        [warning] = GatePolicy().evaluate(unread).warnings
        assert warning.message == "the project's files were not read: unknown reason"

    @pytest.mark.parametrize("read", ["read", None])
    def test_are_no_warning_if_they_were_read_or_not_requested(self, read: str | None) -> None:
        assert not GatePolicy().evaluate(run(executed("a.x"), project_files=read)).warnings


def junit_properties(report: RunReport) -> list[tuple[str, str]]:
    """The properties of a JUnit file with one suite."""
    root = ElementTree.fromstring(junit_file.suites([Entry(None, report)]))
    return [(str(each.get("name")), str(each.get("value"))) for each in root.iter("property")]

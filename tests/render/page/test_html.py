"""The page as text: it is complete, nothing in a report becomes markup, and links have targets."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.render.page.html import page
from pytest_sqlmesh_tracker.reports.files import Entry
from tests import drawing
from tests.browser.reports import HOSTILE, LONG, hostile, session, warehouse
from tests.builders import (
    audit,
    batch,
    batches,
    executed,
    failed,
    interrupted,
    interval,
    run,
    skipped,
    unknown,
    utc,
)

FILES = Path(html.__file__).parent


class Parsed(HTMLParser):
    """What a browser would find in a page: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.joined = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # What only lets a line break there does not divide what is read.
        self.joined = tag == "wbr"
        if not self.joined:
            self.elements.append((tag, dict(attrs)))
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.joined:
            self.texts[-1] += data
        elif self.elements and self.elements[-1][0] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def words(self) -> str:
        """The text as a reader sees it: elements separated, white space collapsed."""
        return " ".join(" ".join(text or " " for text in self.texts).split())

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.elements if tag == "a"]

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def chosen(self) -> str | None:
        (section,) = [a for _, a in self.elements if "chosen" in (a.get("class") or "").split()]
        return section["id"]


def parsed(*reports: RunReport, gate: bool = False) -> Parsed:
    pairs = [Entry(None, report) for report in reports]
    return Parsed(page(pairs, GatePolicy().evaluate(*pairs) if gate else None))


def text_of(*reports: RunReport) -> str:
    return parsed(*reports).words


def test_totals_cover_all_invocations() -> None:
    text = text_of(run(executed("a"), failed("b")), run(executed("a"), executed("b")))

    assert "3 executed 1 failed 2 invocations. Times are in UTC." in text


def test_repeated_tries_are_left_out_and_counted() -> None:
    repeated = run(failed("sales.orders"), superseded=True)
    last = run(skipped("sales.orders", "signal_not_ready"))
    page = parsed(repeated, last, gate=True)

    assert "1 skipped 1 invocation; left out: 1 invocation superseded by reruns. T" in page.words
    assert "failed" not in page.words.replace("gate failed", "").replace("only failed", "")
    assert "#00000000/sales.orders" in page.values("href")


def test_without_a_gate_no_verdict_is_given() -> None:
    assert "gate" not in text_of(run(failed("sales.orders")))


def test_findings_of_the_gate_link_to_their_models_with_the_most_urgent_first() -> None:
    made = run(skipped("b", "signal_not_ready"), failed("a"), completion="failure")
    other = run(completion="raised", error="ConfigError: no such gateway")

    page = parsed(made, other, gate=True)

    text = page.words
    assert "gate failed: 1 failure, 1 unexpected skip, 1 command error" in text
    assert text.index("a failed: its evaluation") < text.index("b was skipped: its signal")
    assert page.links[1:4] == ["#00000000/a", "#00000000/b", "#00000000-2"]


@pytest.mark.parametrize(
    ("completion", "heading"),
    [("raised", "The run raised"), ("interrupted", "The run was interrupted")],
)
def test_the_error_of_an_invocation_is_shown_in_full(completion: str, heading: str) -> None:
    words = parsed(run(completion=completion, error="KeyboardInterrupt: by hand")).words
    assert f"{heading} KeyboardInterrupt: by hand" in " ".join(words.split())


def test_findings_on_rules_have_no_link_and_many_findings_are_folded() -> None:
    policy = GatePolicy(rules=[{"models": "nowhere.*", "allow": ["signal_not_ready"]}])
    pairs = [
        Entry(
            None, run(*[failed(f"m{number}", error=f"ValueError: {number}") for number in range(9)])
        )
    ]

    text = Parsed(page(pairs, policy.evaluate(*pairs))).words

    assert "unmatched rule rule 1 (nowhere.*)" in text
    assert "4 more findings" in text


def test_a_passed_gate_is_shown() -> None:
    assert "gate passed: 1 outcome in 1 report" in parsed(run(executed("a")), gate=True).text


@pytest.mark.parametrize(
    "broken",
    [
        run(failed("a")),
        run(interrupted("a")),
        run(unknown("a")),
        run(completion="raised"),
        run(completion="interrupted"),
    ],
    ids=["failed", "interrupted", "unknown", "raised", "interrupted command"],
)
def test_the_first_failed_invocation_is_opened(broken: RunReport) -> None:
    fine = run(executed("a"))

    assert parsed(fine, broken, broken).chosen() == "00000000-2"


def test_an_invocation_with_findings_is_opened_before_a_failed_one() -> None:
    policy = GatePolicy(rules=[{"models": "*", "allow": ["failed"]}])
    pairs = [Entry(None, run(failed("a"))), Entry(None, run(skipped("a", "signal_not_ready")))]

    assert Parsed(page(pairs, policy.evaluate(*pairs))).chosen() == "00000000-2"


def test_the_first_invocation_is_opened_if_none_failed() -> None:
    assert parsed(run(executed("a")), run(executed("b"))).chosen() == "00000000"


def test_no_reports_and_no_models_are_stated() -> None:
    assert "No invocations were tracked." in text_of()
    assert "No models." in text_of(run())


def test_an_invocation_is_shown_with_its_test_arguments_and_removed_models() -> None:
    made = run(
        command="plan",
        arguments={"environment": "dev", "start": "2024-01-01", "end": None, "run": True},
        removed=("old.orders", "old.items"),
        error="PlanError: refused",
        completion="raised",
        execution_time=utc("2024-01-14 06:30"),
        environment="dev",
    )

    text = Parsed(page([Entry("test_shop.py::test_plan", made)])).words

    assert "plan dev raised in 2.00 s execution time 2024-01-14 06:30:00 UTC" in text
    assert 'test test_shop.py::test_plan start "2024-01-01" run true' in text
    assert "removed by the plan old.orders, old.items The plan raised PlanError: refused" in text


def test_root_causes_come_first_with_the_number_of_blocked_models() -> None:
    text = text_of(
        run(
            failed("a"),
            skipped("b", "upstream_failed", blocked_by=("a", "a"), upstream=("a",)),
            skipped("c", "upstream_failed", blocked_by=("a", "gone"), upstream=("b",)),
            skipped("d", "signal_not_ready"),
            skipped("e", "upstream_not_ready", blocked_by=("d",), upstream=("d",)),
        )
    )

    causes = text.split("Root causes", 1)[1]
    assert causes.startswith(" a its evaluation raised ValueError: no luck blocks 2 models d its")
    assert "failed · root cause of 2 blocked models" in text
    assert "Blocked by a gone not in this report" in text


def test_all_facts_about_a_model_are_shown() -> None:
    text = text_of(
        run(
            skipped("raw.events", "not_evaluatable", kind="external", cron=None),
            failed(
                "sales.orders",
                "signal_not_ready",
                "error",
                error="ValueError: first line\n  second line",
                evidence={"signal_not_ready": "inferred"},
                partial=True,
                local_edit=True,
                loaded_through=utc("2024-01-13"),
                next_due=utc("2024-01-15"),
                held_back=(interval("2024-01-13", "2024-01-14"),),
                signals={"feed": (interval("2024-01-12", "2024-01-13"),)},
                change_category="breaking",
                batches=(
                    batch("2024-01-10", "2024-01-11", rows=1234, bytes=9876, audits_passed=2),
                    batch("2024-01-11", "2024-01-12", "failed", index=1, round=1, audits_failed=1),
                    batch("2024-01-12", "2024-01-13", duration=timedelta(seconds=4), index=2),
                ),
                audits=(
                    audit("not_null").model_copy(update={"arguments": {"columns": "(id, day)"}}),
                    audit("in_range", rows_failed=3, blocking=False),
                ),
                rows=1234,
                bytes=9876,
                duration=timedelta(seconds=4),
                started_at=utc("2024-01-14 06:30"),
                finished_at=utc("2024-01-14 06:31"),
                upstream=("raw.events", "not.listed"),
            ),
        )
    )

    *_, details = text.split("sales.orders failed · partial: some of its batches were recorded")
    assert details.startswith(" · local edit: the project's definition differs · root cause")
    for words in (
        "sales.orders failed in batch 2 of 2; 2 recorded: its signal was not ready (feed); "
        "a non-blocking audit failed: in_range (3 rows) run prod, execution_time",
        "Reasons signal_not_ready inferred error",
        "Error ValueError: first line second line",
        "Signals that were not ready feed held back 2024-01-12",
        "round # interval status time rows bytes audits",
        "1 1 2024-01-10 executed 1,234 9,876 2 passed",
        "2 2 2024-01-11 failed 0 passed, 1 failed",
        "1 3 2024-01-12 executed 4.00 s 0 passed",
        "not_null columns := (id, day) passed",
        "in_range 3 rows failed, non-blocking",
        "kind full cron @daily",
        "loaded up to 2024-01-13 00:00 UTC next due 2024-01-15 00:00 UTC held back 2024-01-13",
        "change breaking rows 1,234 bytes 9,876 duration 4.00 s",
        "started 2024-01-14 06:30:00 UTC finished 2024-01-14 06:31:00 UTC",
        'qualified name "wh"."sales"."orders"',
        "Upstream raw.events not.listed not in this report",
    ):
        assert words in details


def test_causes_are_shown_with_intervals_and_models() -> None:
    days = {
        "restated": (interval("2024-01-08", "2024-01-09"),),
        "reloaded": (interval("2024-01-09", "2024-01-14"),),
    }
    made = executed(
        "a.x",
        causes=("restated", "reloaded", "requested"),
        intervals_by_cause=days,
        cause_evidence={"restated": "observed"},
        restated_by=("s.orders",),
        changed_by=("s.items",),
        waiting_since=utc("2024-01-13"),
    )
    text = text_of(run(executed("s.orders"), made))
    assert "restated 1 reloaded 1 requested 1 Status" in text
    assert (
        "Causes restated 2024-01-08 observed reloaded 2024-01-09 .. 2024-01-13 requested "
        "Restated by s.orders Changed by s.items not in this report" in text
    )
    assert "waiting since 2024-01-13 00:00 UTC" in text


def test_the_first_and_all_unexecuted_of_many_batches_are_shown() -> None:
    text = text_of(run(failed("a", batches=batches(*["executed"] * 150, "failed", "executed"))))

    assert "100 2024-04-09 executed 151 2024-05-30 failed … and 51 more that were executed" in text


def test_zero_rows_are_shown() -> None:
    text = text_of(run(executed("a", batches=(batch("2024-01-13", "2024-01-14", rows=0),))))

    assert "# interval status rows 1 2024-01-13 executed 0" in text


def test_a_report_cannot_become_markup() -> None:
    page = parsed(hostile(), gate=True)

    assert [tag for tag, _ in page.elements if tag in ("script", "img", "b ")] == ["script"]
    assert {name for _, attrs in page.elements for name in attrs if name.startswith("on")} == set()
    assert all(address.startswith("#") or address == "data:," for address in page.values("href"))
    assert page.values("src") == []


def test_control_characters_are_escaped_and_the_page_can_be_encoded() -> None:
    text = page([Entry(HOSTILE, hostile())])

    text.encode()
    shown = r"\x1b[31mred\x1b[0m \x00 \u202egnp.exe\u202c \ud800 {{ 7 * 6 }}"
    assert shown in Parsed(text).text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


def test_nothing_of_a_long_error_is_lost() -> None:
    assert LONG in parsed(hostile()).text


def test_a_very_long_message_is_shown_in_full() -> None:
    note = f"{'the tracker lost its place, and ' * 40}that is all"

    assert f"unknown: {note}" in text_of(run(unknown("a", note)))


def test_a_very_long_name_is_shown_in_full_once() -> None:
    endless = "x" * 1_000_000

    text = page(
        [Entry(None, run(*[executed(name, upstream=(endless,)) for name in (endless, "a", "b")]))]
    )

    # The other one is in the qualified name.
    assert Parsed(text).text.count(endless) == 2
    assert len(text) < 3_000_000


def test_many_models_have_an_overview_by_schema_with_the_urgent_ones_first() -> None:
    made = [executed(f"core.m{number}", upstream=("raw.a",)) for number in range(11)]
    bad = failed("core.bad", upstream=("raw.a",))
    raw = skipped("raw.a", "not_evaluatable", kind="external")
    page = parsed(run(raw, *made, bad))

    assert "raw 1 model 1 not evaluatable a core 12 models 1 failed 11 executed bad m0" in (
        page.words
    )
    schemas = [a for tag, a in page.elements if (a.get("class") or "").startswith("schema ")]
    assert [schema["class"] for schema in schemas] == [
        "schema not-evaluatable",
        "schema failed root",
    ]
    assert [schema["data-reads"] for schema in schemas] == ["", "0"]
    assert not any("open" in schema for schema in schemas)


def test_the_only_schema_is_unfolded() -> None:
    page = parsed(run(*[executed(f"core.m{number}") for number in range(13)]))

    (schema,) = [a for tag, a in page.elements if (a.get("class") or "").startswith("schema ")]
    assert "open" in schema


def test_few_models_have_no_overview() -> None:
    assert "Schemas" not in text_of(run(*[executed(f"core.m{number}") for number in range(12)]))


def test_many_root_causes_are_folded() -> None:
    text = text_of(run(*[failed(f"m{number}") for number in range(11)]))

    assert "3 more root causes m8" in text


def test_many_intervals_are_folded_after_the_first_ones() -> None:
    days = tuple(interval(f"2024-01-{day:02}", f"2024-01-{day + 1:02}") for day in range(1, 31))
    text = text_of(run(skipped("a", "signal_not_ready", held_back=days, signals={"feed": days})))

    assert text.count("2024-01-20 and 10 more 2024-01-21, 2024-01-22") == 2
    assert text.count("2024-01-29, 2024-01-30") == 2


def test_waiting_models_show_since_when() -> None:
    text = text_of(
        run(
            skipped("a", "signal_not_ready", waiting_since=utc("2024-01-12")),
            skipped("b", waiting_since=utc("2024-01-11")),
        )
    )

    assert "its signal was not ready waiting since 2024-01-12 00:00 UTC" in text
    # It waits for its cron, which the reason says.
    assert text.count("waiting since 2024-01-11") == 1


def test_names_can_wrap_after_each_part() -> None:
    text = page([Entry("test_a/test_b.py::test_c", run(executed("sales.daily_orders")))] * 2)

    assert ">sales.<wbr>daily_<wbr>orders</a>" in text
    assert ">test_<wbr>a/<wbr>test_<wbr>b.<wbr>py::<wbr>test_<wbr>c</small>" in text


def test_every_link_has_its_target() -> None:
    page = parsed(warehouse(20), hostile(), run(), gate=True)

    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.values("href") if href.startswith("#")} <= set(ids)


def test_only_scripts_of_the_page_itself_are_allowed() -> None:
    text = page([Entry(None, run(executed("a")))])

    (policy,) = [value for value in Parsed(text).values("content") if "default-src" in value]
    script = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    style = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert policy.startswith("default-src 'none'; ")
    for (source,) in (script, style):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    # Which would not be obeyed under such a policy.
    assert Parsed(text).values("style") == []


def test_the_same_reports_make_the_same_page() -> None:
    code = (
        "import hashlib; from tests.browser.reports import session\n"
        "from pytest_sqlmesh_tracker.render.page.html import page\n"
        "print(hashlib.sha256(page(session(8)).encode()).hexdigest())"
    )
    digests = {
        subprocess.check_output([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }

    assert digests == {f"{hashlib.sha256(page(session(8)).encode()).hexdigest()}\n".encode()}


def test_five_hundred_models_take_less_than_two_mebibytes() -> None:
    pairs = [Entry(None, warehouse(500))]

    assert len(page(pairs, GatePolicy().evaluate(*pairs)).encode()) < 2 * 2**20


@drawing.unhurried
@given(st.lists(drawing.reports(), max_size=3))
def test_any_report_has_a_page(reports: list[RunReport]) -> None:
    page = parsed(*reports, gate=True)

    assert {a[1:] for a in page.values("href") if a.startswith("#")} <= set(page.values("id"))


@pytest.mark.parametrize("face", [0, 1], ids=["light", "dark"])
def test_text_has_sufficient_contrast(face: int) -> None:
    declared = re.findall(
        r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (FILES / "page.css").read_text()
    )
    colors = {name: faces[face] for name, *faces in declared}
    grounds = {name: colors.pop(name) for name in ("page", "surface", "raised")}
    lines = {"line", "edge"}

    weak = {
        (name, ground): round(contrast(color, grounds[ground]), 2)
        for name, color in colors.items()
        for ground in grounds
        if name not in lines and contrast(color, grounds[ground]) < 4.5
    }

    assert weak == {}


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_pages_files_are_short_and_load_nothing() -> None:
    for path in (path for path in FILES.iterdir() if path.suffix in (".css", ".html", ".js")):
        text = path.read_text()
        assert len(text.splitlines()) < 400
        assert not re.search(r"https?:|@import|url\(|</script>.*</script>", text)

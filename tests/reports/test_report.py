"""Reports of invocations, and report files: writing, reading and rejecting them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from importlib.resources import files
from typing import Any, ClassVar

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped,unused-ignore]

from pytest_sqlmesh_tracker import (
    NoReportError,
    Reason,
    RunReport,
    Status,
    UnknownModelError,
    __version__,
)
from pytest_sqlmesh_tracker.reports.files import (
    Entry,
    entries_from_json,
    entries_to_json,
    file_schema,
)
from pytest_sqlmesh_tracker.reports.report import SCHEMA_VERSION
from tests.builders import (
    NOW,
    audit,
    audited,
    executed,
    failed,
    interrupted,
    interval,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import reports, unhurried

SHOP = run(
    executed("raw.users"),
    executed("raw.clicks"),
    partly_failed("raw.events"),
    skipped("sales.orders", "upstream_failed", blocked_by=("raw.events",)),
    skipped("sales.weekly", next_due=utc("2024-01-21")),
    skipped("sales.hourly", "signal_not_ready", "cron_not_due"),
    audited("raw.rates", audit("not_null"), audit("unique", rows_failed=2, blocking=False)),
    interrupted("sales.daily", "command_failed"),
    unknown("sales.lost"),
    completion="failure",
    arguments={"ignore_cron": True, "select_models": ["sales.*"]},
)
JSON = SHOP.to_dict()
NEW_IN_VERSION_2 = ("id", "project_files", "project_files_note", "superseded")


class TestSets:
    """Names by status, as frozensets: a plain comparison reads well."""

    def test_by_status(self) -> None:
        assert SHOP.executed == {"raw.users", "raw.clicks"}
        assert SHOP.failed == {"raw.events"}
        assert SHOP.skipped == {"sales.orders", "sales.weekly", "sales.hourly"}
        assert SHOP.audited == {"raw.rates"}
        assert SHOP.interrupted == {"sales.daily"}
        assert SHOP.unknown == {"sales.lost"}

    @pytest.mark.parametrize("status", Status)
    def test_each_set_is_a_frozenset_and_empty_without_models(self, status: Status) -> None:
        assert type(getattr(SHOP, status)) is frozenset
        assert getattr(run(), status) == set()

    @unhurried
    @given(reports())
    def test_each_model_is_in_exactly_one(self, report: RunReport) -> None:
        sets = [report.not_evaluatable, *(getattr(report, status) for status in Status)]
        assert sorted(name for names in sets for name in names) == sorted(report.outcomes)


class TestByReason:
    def test_contains_the_models_with_this_primary_reason(self) -> None:
        by_reason = SHOP.by_reason
        assert by_reason["upstream_failed"] == {"sales.orders"}
        assert by_reason[Reason.CRON_NOT_DUE] == {"sales.weekly"}
        assert by_reason["signal_not_ready"] == {"sales.hourly"}

    def test_compares_to_plain_text(self) -> None:
        assert run(skipped("a.x"), skipped("a.y"), executed("a.z")).by_reason == {
            "cron_not_due": {"a.x", "a.y"}
        }

    def test_has_no_models_for_a_reason_that_does_not_occur(self) -> None:
        by_reason = SHOP.by_reason
        assert by_reason["not_selected"] == frozenset()
        assert type(by_reason[Reason.ENDED]) is frozenset
        assert "ended" not in by_reason

    def test_looking_up_a_reason_does_not_add_it(self) -> None:
        by_reason = run().by_reason
        assert by_reason["ended"] == set()
        assert by_reason == {}

    @pytest.mark.parametrize("typo", ["cron_not_duo", "skipped", "", None, 3])
    def test_a_typo_is_a_key_error(self, typo: Any) -> None:
        with pytest.raises(KeyError) as caught:
            SHOP.by_reason[typo]
        assert str(caught.value.args[0]).startswith(f"{typo!r} is ")
        assert caught.value.__cause__ is None

    def test_a_typo_has_close_matches(self) -> None:
        with pytest.raises(KeyError, match=r"did you mean cron_not_due"):
            SHOP.by_reason["cron_not_duo"]

    def test_is_in_order_of_precedence(self) -> None:
        assert list(SHOP.by_reason) == sorted(
            SHOP.by_reason, key=lambda reason: Reason(reason).rank
        )
        assert all(isinstance(reason, Reason) for reason in SHOP.by_reason)


class TestLookup:
    def test_one_model(self) -> None:
        assert SHOP["sales.orders"].blocked_by == ("raw.events",)
        assert SHOP['"wh"."sales"."orders"'] is SHOP["SALES.ORDERS"]

    def test_a_typo(self) -> None:
        with pytest.raises(UnknownModelError, match=r"did you mean sales\.orders"):
            SHOP["sales.order"]
        with pytest.raises(UnknownModelError, match=r"did you mean sales\.orders"):
            SHOP.explain("sales.order")

    def test_explain_is_the_paragraph_of_a_failed_assertion(self) -> None:
        explained = SHOP.explain("sales.weekly").splitlines()
        assert explained[0].startswith("sales.weekly was skipped: its cron was not due")
        with pytest.raises(AssertionError) as caught:
            SHOP.assert_executed("sales.weekly")
        assert str(caught.value).splitlines()[1:] == explained[1:]

    def test_outcomes_keep_their_order(self) -> None:
        assert list(run(executed("b.x"), executed("a.x")).outcomes) == ["b.x", "a.x"]

    def test_a_report_contains_its_models(self) -> None:
        report: Any = SHOP
        assert "sales.orders" in report.outcomes
        assert "sales.orders" in report
        assert "sales.nonsense" not in report


def test_no_report_error_is_a_lookup_error() -> None:
    assert issubclass(NoReportError, LookupError)


def test_later_changes_of_arguments_do_not_change_the_report() -> None:
    arguments: dict[str, Any] = {"start": "2024-01-01"}
    outcomes = {"a.x": executed("a.x")}
    report = run(arguments=arguments, outcomes=outcomes)
    arguments["end"] = "2024-01-02"
    outcomes.clear()
    assert report.arguments == {"start": "2024-01-01"}
    assert report.executed == {"a.x"}


class TestRoundTrip:
    def test_through_text(self) -> None:
        assert RunReport.from_json(SHOP.to_json()) == SHOP
        assert RunReport.from_json(SHOP.to_json(indent=2)) == SHOP
        assert RunReport.from_json(SHOP.to_json().encode()) == SHOP

    def test_through_a_dict(self) -> None:
        assert RunReport.from_dict(SHOP.to_dict()) == SHOP
        assert json.loads(SHOP.to_json()) == SHOP.to_dict()

    @unhurried
    @given(reports())
    def test_any_report_survives(self, report: RunReport) -> None:
        back = RunReport.from_json(report.to_json())
        assert back == report
        assert list(back.outcomes) == list(report.outcomes)
        assert back.to_json() == report.to_json()

    def test_keeps_the_types(self) -> None:
        back = RunReport.from_json(SHOP.to_json())["sales.weekly"]
        assert back.status is Status.SKIPPED
        assert back.reason is Reason.CRON_NOT_DUE
        assert back.next_due == datetime(2024, 1, 21, tzinfo=timezone.utc)
        assert [type(reason) for reason in back.evidence] == [Reason]

    def test_non_ascii_names_stay_readable(self) -> None:
        report = run(executed("sales.überfällig"))
        assert "sales.überfällig" in report.to_json()
        assert RunReport.from_json(report.to_json().encode()) == report

    def test_text_without_indent_is_one_line(self) -> None:
        assert len(SHOP.to_json().splitlines()) == 1
        assert len(SHOP.to_json(indent=2).splitlines()) > 20

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (NOW, "2024-01-14T06:30:00Z"),
            (date(2024, 1, 14), "2024-01-14"),
            (("a", 1), ["a", 1]),
            (float("nan"), None),
            (float("inf"), None),
            ({1: 2}, {"1": 2}),
        ],
        ids=str,
    )
    def test_arguments_are_valid_json(self, value: object, written: object) -> None:
        text = run(arguments={"value": value}).to_json()
        assert json.loads(text, parse_constant=pytest.fail)["arguments"] == {"value": written}

    def test_an_error_with_invalid_unicode_survives(self) -> None:
        """File names and decoding errors put lone surrogates into messages."""
        report = run(failed("a.x", error="OSError: no file 'caf\udce9'"), error="\udce9")
        back = RunReport.from_json(report.to_json().encode())
        assert back.failed == {"a.x"}
        assert "OSError: no file" in str(back["a.x"].error)

    def test_missing_fields_have_their_defaults(self) -> None:
        short = {key: JSON[key] for key in JSON if key not in {"arguments", "removed", "error"}}
        back = RunReport.from_dict(short)
        assert (back.arguments, back.removed, back.error) == ({}, (), None)


class TestFiles:
    def test_contain_reports_with_their_tests(self) -> None:
        text = entries_to_json([Entry("tests/test_a.py::test_x[é]", SHOP), Entry(None, run())])
        assert entries_from_json(text) == [("tests/test_a.py::test_x[é]", SHOP), (None, run())]
        assert entries_from_json(text.encode()) == entries_from_json(text)

    def test_may_contain_no_reports(self) -> None:
        assert entries_from_json(entries_to_json([])) == []

    def test_have_a_version_and_reports(self) -> None:
        file = json.loads(entries_to_json([Entry("test_a.py::test_x", run())]))
        assert list(file) == ["schema_version", "reports"]
        assert file["schema_version"] == SCHEMA_VERSION == 2
        assert list(file["reports"][0])[:4] == ["test", "schema_version", "id", "command"]
        assert file["reports"][0]["test"] == "test_a.py::test_x"

    def test_are_readable_and_end_in_a_newline(self) -> None:
        text = entries_to_json([Entry(None, run(executed("sales.überfällig")))])
        assert text.endswith("}\n")
        assert '\n  "reports": [\n' in text
        assert "sales.überfällig" in text

    def test_may_be_a_bare_report(self) -> None:
        assert entries_from_json(SHOP.to_json()) == [Entry(None, SHOP)]
        assert entries_from_json(SHOP.to_json().encode()) == [Entry(None, SHOP)]

    def test_the_test_may_be_missing(self) -> None:
        text = json.dumps({"schema_version": 2, "reports": [JSON]})
        assert entries_from_json(text) == [Entry(None, SHOP)]

    @unhurried
    @given(st.lists(st.tuples(st.none() | st.text(max_size=9), reports()), max_size=3))
    def test_are_read_as_they_were_written(self, entries: list[Entry]) -> None:
        assert entries_from_json(entries_to_json(entries)) == entries


class TestUnknownOutcomesWithoutANote:
    """As reports had them before there were notes: why, in the message alone."""

    @pytest.mark.parametrize(
        ("message", "note"),
        [("unknown: lost its place", "lost its place"), ("unknown", None), ("", None)],
    )
    def test_get_the_note_from_their_message(self, message: str, note: str | None) -> None:
        data = run(unknown("a.x", None, message=message)).to_dict()
        del data["outcomes"]["a.x"]["note"]
        assert RunReport.from_dict(data)["a.x"].note == note

    def test_keep_an_existing_note(self) -> None:
        report = run(unknown("a.x", "lost its place", message="unknown: another story"))
        assert RunReport.from_dict(report.to_dict())["a.x"].note == "lost its place"

    @pytest.mark.parametrize("outcomes", [None, {"a.x": None}, {"a.x": {"status": "unknown"}}])
    def test_are_rejected_if_they_are_invalid(self, outcomes: object) -> None:
        with pytest.raises(ValueError, match="not a report: outcomes"):
            RunReport.from_dict({**run().to_dict(), "outcomes": outcomes})


class TestSchema:
    def validator(self) -> Draft202012Validator:
        return Draft202012Validator(file_schema())

    def test_is_a_json_schema(self) -> None:
        Draft202012Validator.check_schema(file_schema())

    @pytest.mark.skipif(
        tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 11),
        reason="older versions of pydantic word the same schema differently",
    )
    def test_is_the_one_in_the_package(self) -> None:
        packaged = files("pytest_sqlmesh_tracker.reports").joinpath("report.schema.json")
        assert json.loads(packaged.read_text(encoding="utf-8")) == file_schema()

    @unhurried
    @given(st.lists(st.tuples(st.none() | st.text(max_size=9), reports()), max_size=2))
    def test_accepts_every_report_file(self, entries: list[Entry]) -> None:
        self.validator().validate(json.loads(entries_to_json(entries)))

    def test_accepts_a_report_with_everything(self) -> None:
        full = run(
            skipped(
                "a.x",
                held_back=[interval("2024-01-01", "2024-01-02")],
                signals={"feed": [interval("2024-01-01", "2024-01-02")]},
                duration=timedelta(seconds=1),
            )
        )
        entries = [Entry("t", full), Entry(None, SHOP)]
        self.validator().validate(json.loads(entries_to_json(entries)))

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda file: file.pop("reports"), id="no reports"),
            pytest.param(lambda file: file.pop("schema_version"), id="no version"),
            pytest.param(lambda file: file.update(schema_version=3), id="version"),
            pytest.param(lambda file: file.update(reports={}), id="reports"),
            pytest.param(lambda file: file["reports"].append(None), id="a null report"),
            pytest.param(lambda file: file["reports"][0].update(test=1), id="test"),
            pytest.param(lambda file: file["reports"][0].update(colour="red"), id="field"),
            pytest.param(lambda file: file["reports"][0].update(command="test"), id="command"),
            pytest.param(lambda file: file["reports"][0].pop("outcomes"), id="no outcomes"),
            pytest.param(lambda file: users(file).update(status="done"), id="status"),
            pytest.param(lambda file: users(file).update(reason="tired"), id="reason"),
            pytest.param(lambda file: users(file).update(colour="red"), id="outcome field"),
            pytest.param(lambda file: users(file).update(held_back=[["now"]]), id="interval"),
        ],
    )
    def test_rejects_everything_that_the_reader_rejects(
        self, spoil: Callable[[Any], object]
    ) -> None:
        file = json.loads(entries_to_json([Entry(None, SHOP)]))
        spoil(file)
        assert not self.validator().is_valid(file)
        with pytest.raises(ValueError, match=r"."):
            entries_from_json(json.dumps(file))

    def test_contains_the_valid_words(self) -> None:
        words = file_schema()["$defs"]
        assert words["Status"]["enum"] == [str(status) for status in Status]
        assert words["Reason"]["enum"] == [str(reason) for reason in Reason]


def users(file: Any) -> Any:
    """The outcome of `raw.users` in a file of one report."""
    return file["reports"][0]["outcomes"]["raw.users"]


def refusal(read: Callable[[], object]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(ValueError, match=r".") as caught:
        read()
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert caught.value.__cause__ is None
    assert type(caught.value) is ValueError
    return message


def refused(data: object) -> str:
    """The line with which a report is refused, whether bare or in a file."""
    bare = refusal(lambda: RunReport.from_json(json.dumps(data)))
    assert refusal(lambda: entries_from_json(json.dumps(data))) == bare
    file = {"schema_version": 2, "reports": [JSON, data]}
    assert refusal(lambda: entries_from_json(json.dumps(file))).startswith("report 2: ")
    return bare


def spoiled(**changes: object) -> dict[str, Any]:
    return {**JSON, **changes}


def outcome_spoiled(**changes: object) -> dict[str, Any]:
    return spoiled(outcomes={"raw.users": {**JSON["outcomes"]["raw.users"], **changes}})


class TestVersion1:
    """Reports that earlier versions wrote: without an id, and without what is new since."""

    OLD: ClassVar = {
        **{key: value for key, value in JSON.items() if key not in NEW_IN_VERSION_2},
        "schema_version": 1,
    }

    def test_is_read_with_new_fields_left_empty(self) -> None:
        report = RunReport.from_dict(self.OLD)
        assert report == SHOP.model_copy(update={"id": report.id})
        assert (report.project_files, report.superseded) == (None, False)
        assert entries_from_json(json.dumps({"schema_version": 1, "reports": [self.OLD]})) == [
            Entry(None, report)
        ]

    def test_has_an_id_derived_from_its_content(self) -> None:
        first, second = RunReport.from_dict(self.OLD), RunReport.from_json(json.dumps(self.OLD))
        other = RunReport.from_dict({**self.OLD, "environment": "dev"})
        assert first.id == second.id != other.id

    def test_is_written_as_the_current_version(self) -> None:
        report = RunReport.from_dict(self.OLD)
        assert report.to_dict()["schema_version"] == SCHEMA_VERSION
        assert RunReport.from_json(report.to_json()) == report

    def test_is_rejected_if_it_is_nested_too_deeply(self) -> None:
        deep: object = {}
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(ValueError, match="not JSON"):
            RunReport.from_parsed({**self.OLD, "arguments": deep})


class TestRejected:
    """Anything but a report raises a `ValueError` of one line that says where and what."""

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "",
                " ",
                "{",
                "}",
                "hello",
                "{'a': 1}",
                '{"a": 1,}',
                '{"a"}',
                "\x00",
                '"\n"',
                "[1, 2",
            ),
            *("1" * 5000, "{" * 100_000, "[" * 100_000),
            *(b"", b"\x80", b"\xff\xfe\x00", "{}".encode("utf-32")[:-1], b"PK\x03\x04"),
        ],
        ids=lambda text: repr(text[:8]),
    )
    def test_invalid_json(self, text: str | bytes) -> None:
        assert refusal(lambda: RunReport.from_json(text)).startswith("not a report: not JSON (")
        assert refusal(lambda: entries_from_json(text)).startswith("not a report: not JSON (")

    def test_a_truncated_file(self) -> None:
        text = entries_to_json([Entry(None, SHOP)])
        for length in range(0, len(text) - 2, 97):
            assert "not JSON" in refusal(partial(entries_from_json, text[:length]))
            assert "not JSON" in refusal(partial(entries_from_json, text.encode()[:length]))

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("[]", "a list"),
            ("null", "null"),
            ("1", "a number"),
            ("-1.5", "a number"),
            ("NaN", "a number"),
            ("true", "a boolean"),
            ('"report"', "a string"),
        ],
    )
    def test_values_that_are_not_objects(self, text: str, kind: str) -> None:
        message = f"not a report: expected an object, found {kind}"
        assert refusal(lambda: RunReport.from_json(text)) == message
        assert refusal(lambda: entries_from_json(text)) == message

    def test_a_missing_version(self) -> None:
        assert refused({}) == "not a report: schema_version is missing"
        without = {key: value for key, value in JSON.items() if key != "schema_version"}
        assert refused(without) == "not a report: schema_version is missing"

    @pytest.mark.parametrize("version", [0, 1.5, "1", None, [], {}, [1, "\n"], "1\n2"], ids=repr)
    def test_another_version_is_rejected_with_the_supported_ones(self, version: object) -> None:
        reads = f"is not supported; version {__version__} reads 1 and 2"
        assert refused(spoiled(schema_version=version)).endswith(reads)
        file = {"schema_version": version, "reports": []}
        message = refusal(lambda: entries_from_json(json.dumps(file)))
        assert message == f"schema_version {version!r} {reads}"

    def test_a_newer_version_is_rejected_with_the_required_package_version(self) -> None:
        message = refused(spoiled(schema_version=3))
        assert message.endswith("reads 1 and 2; upgrade pytest-sqlmesh-tracker to read it")

    def test_true_is_not_a_version(self) -> None:
        assert "schema_version" in refused(spoiled(schema_version=True))

    @pytest.mark.parametrize(
        ("data", "where"),
        [
            (outcome_spoiled(status="done"), "outcomes.raw.users.status"),
            (outcome_spoiled(reason="tired"), "outcomes.raw.users.reason"),
            (outcome_spoiled(reasons=["error", "tired"]), "outcomes.raw.users.reasons.1"),
            (outcome_spoiled(evidence={"tired": "observed"}), "outcomes.raw.users.evidence"),
            (outcome_spoiled(evidence={"error": "guess"}), "outcomes.raw.users.evidence.error"),
            (outcome_spoiled(name=None), "outcomes.raw.users.name"),
            (outcome_spoiled(partial="perhaps"), "outcomes.raw.users.partial"),
            (outcome_spoiled(next_due="soon"), "outcomes.raw.users.next_due"),
            (outcome_spoiled(next_due=1e300), "outcomes.raw.users.next_due"),
            (outcome_spoiled(next_due="2024-01-14T00:00:00"), "outcomes.raw.users.next_due"),
            (outcome_spoiled(duration=1e300), "outcomes.raw.users.duration"),
            (outcome_spoiled(duration=float("nan")), "outcomes.raw.users.duration"),
            (outcome_spoiled(rows=float("inf")), "outcomes.raw.users.rows"),
            (outcome_spoiled(rows="many"), "outcomes.raw.users.rows"),
            (outcome_spoiled(held_back=[["2024-01-01T00:00:00Z"]]), "outcomes.raw.users.held_back"),
            (outcome_spoiled(held_back=[[1, 2, 3]]), "outcomes.raw.users.held_back"),
            (outcome_spoiled(batches=[{}]), "outcomes.raw.users.batches.0"),
            (outcome_spoiled(audits=[{"name": "x"}]), "outcomes.raw.users.audits.0"),
            (spoiled(command="test"), "command"),
            (spoiled(completion="done"), "completion"),
            (spoiled(execution_time=None), "execution_time"),
            (spoiled(execution_time="2024-01-14T00:00:00"), "execution_time"),
            (spoiled(outcomes=[]), "outcomes"),
            (spoiled(outcomes={"a.x": None}), "outcomes.a.x"),
            (spoiled(removed="a.x"), "removed"),
            (spoiled(arguments=[]), "arguments"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_invalid_value_is_reported_with_its_location(self, data: object, where: str) -> None:
        assert refused(data).startswith(f"not a report: {where}")

    @pytest.mark.parametrize(
        ("data", "valid"),
        [
            (outcome_spoiled(status="done"), list(Status)),
            (outcome_spoiled(reason="tired"), list(Reason)),
            (spoiled(command="test"), ["run", "plan", "audit"]),
            (spoiled(completion="done"), ["success", "nothing_to_do", "failure", "raised"]),
        ],
        ids=["status", "reason", "command", "completion"],
    )
    def test_an_invalid_word_is_reported_with_the_valid_ones(
        self, data: object, valid: list[str]
    ) -> None:
        message = refused(data)
        assert all(f"'{word}'" in message for word in valid)

    def test_an_unknown_field_is_named(self) -> None:
        assert refused(spoiled(colour="red")).startswith("not a report: colour: ")
        message = refused(outcome_spoiled(colour="red"))
        assert message.startswith("not a report: outcomes.raw.users.colour: ")

    def test_a_missing_field_is_named(self) -> None:
        without = {key: value for key, value in JSON.items() if key != "command"}
        assert refused(without) == "not a report: command: Field required"

    def test_the_first_of_several_mistakes_is_reported_with_the_number_of_others(self) -> None:
        message = refused(spoiled(command="test", completion="done", colour="red"))
        assert message.startswith(("not a report: command: ", "not a report: colour: "))
        assert message.endswith(" (and 2 more)")
        assert refused(spoiled(command="test", colour="red")).endswith(" (and 1 more)")

    @pytest.mark.parametrize("line_break", ["\n", "\r", "\u2028", "\x85", "\x0b"], ids=repr)
    def test_line_breaks_of_invalid_values_are_not_in_the_message(self, line_break: str) -> None:
        assert refused(spoiled(**{f"x{line_break}y": 1}))
        assert refused(spoiled(outcomes={f"x{line_break}y": {}}))
        assert refused(outcome_spoiled(status=f"x{line_break}y"))
        assert refused(spoiled(schema_version=f"x{line_break}y"))

    @pytest.mark.parametrize("depth", [300, 900, 960, 980, 990, 1_000, 5_000, 100_000])
    @pytest.mark.parametrize("place", ["arguments", "schema_version", "outcomes", "colour"])
    def test_deep_nesting(self, place: str, depth: int) -> None:
        deep = '{"a": ' * depth + "1" + "}" * depth
        text = json.dumps(spoiled(**{place: "DEEP"})).replace('"DEEP"', deep)
        assert refusal(lambda: RunReport.from_json(text))
        assert refusal(lambda: entries_from_json(text))
        assert refusal(lambda: entries_from_json(f'{{"schema_version": 2, "reports": [{text}]}}'))
        lists = "[" * depth + "]" * depth
        assert refusal(lambda: entries_from_json(f'{{"schema_version": 2, "reports": {lists}}}'))

    def test_deep_nesting_as_values(self) -> None:
        deep: list[Any] = []
        for _ in range(5_000):
            deep = [deep]
        for place in ("arguments", "schema_version", "outcomes", "colour"):
            assert refusal(partial(RunReport.from_dict, spoiled(**{place: deep})))

    def test_values_that_json_cannot_represent(self) -> None:
        assert refusal(lambda: RunReport.from_dict(spoiled(command=object())))
        assert refusal(lambda: RunReport.from_dict(spoiled(arguments={"at": {1, 2}})))

    def test_an_outcome_under_another_models_name(self) -> None:
        """It would be listed as one model and found as another."""
        moved = spoiled(outcomes={"raw.clicks": JSON["outcomes"]["raw.users"]})
        assert "raw.clicks" in refused(moved)

    def test_a_primary_reason_that_is_not_among_the_reasons(self) -> None:
        """`by_reason` would say one thing and an assertion another."""
        assert "reason" in refused(outcome_spoiled(reason="error", reasons=[]))
        assert "reason" in refused(outcome_spoiled(reason=None, reasons=["error"]))
        assert "reason" in refused(outcome_spoiled(reason="aborted", reasons=["error", "aborted"]))


class TestRejectedFiles:
    def read(self, reports: object) -> str:
        file = {"schema_version": 1, "reports": reports}
        return refusal(lambda: entries_from_json(json.dumps(file)))

    @pytest.mark.parametrize(
        "reports", [None, {}, 1, "x", JSON], ids=lambda value: type(value).__name__
    )
    def test_a_file_without_a_list_of_reports(self, reports: object) -> None:
        assert self.read(reports) == "not a report file: 'reports' must be a list"

    @pytest.mark.parametrize(
        ("entry", "kind"), [(None, "null"), ([], "a list"), (1, "a number"), ("x", "a string")]
    )
    def test_other_values_among_the_reports(self, entry: object, kind: str) -> None:
        assert self.read([JSON, entry]) == f"report 2: expected an object, found {kind}"

    @pytest.mark.parametrize("test", [1, True, [], {}, 1.5], ids=repr)
    def test_a_test_that_is_neither_a_string_nor_null(self, test: object) -> None:
        message = "report 1: 'test' must be a node ID or null"
        assert self.read([{"test": test, **JSON}]) == message

    def test_an_invalid_report(self) -> None:
        message = self.read([JSON, {"test": None, **outcome_spoiled(status="done")}])
        assert message.startswith("report 2: not a report: outcomes.raw.users.status: ")
        assert "'executed'" in message

    def test_a_report_of_another_version(self) -> None:
        message = self.read([{"test": None, **spoiled(schema_version=7)}])
        assert message.startswith("report 1: schema_version 7 is not supported; ")

    def test_a_file_without_a_version(self) -> None:
        text = json.dumps({"reports": [JSON]})
        assert refusal(lambda: entries_from_json(text)) == "not a report: schema_version is missing"

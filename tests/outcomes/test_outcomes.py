"""The recorded outcome of a model: words that are plain strings, and immutable values."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from enum import Enum

import pytest
from pydantic import BaseModel, ValidationError

from pytest_sqlmesh_tracker import (
    AuditOutcome,
    Batch,
    Cause,
    ModelOutcome,
    Reason,
    RunReport,
    Status,
)
from pytest_sqlmesh_tracker.outcomes.types import Interval
from tests.builders import (
    NOW,
    audit,
    batch,
    batches,
    executed,
    failed,
    interval,
    outcome,
    run,
    skipped,
    utc,
)

WORDS = [*Status, *Reason]


@pytest.mark.parametrize("word", WORDS)
class TestWords:
    def test_equal_their_values_in_both_directions(self, word: Status | Reason) -> None:
        assert word == word.value
        assert word.value == word
        assert word != word.value.upper()

    def test_are_formatted_as_their_values(self, word: Status | Reason) -> None:
        assert f"{word}" == str(word) == "{}".format(word) == "%s" % word == word.value  # noqa: UP031, UP032
        assert f"{word:>25}" == f"{word.value:>25}"
        assert f"{word!s:.3}" == word.value[:3]
        assert type(str(word)) is str

    def test_mix_with_plain_strings_in_sets_and_dicts(self, word: Status | Reason) -> None:
        assert hash(word) == hash(word.value)
        assert {word} == {word.value}
        assert {word.value: 1}[word] == 1
        assert sorted([word, ""]) == ["", word.value]

    def test_are_plain_text_in_json(self, word: Status | Reason) -> None:
        assert json.dumps({word: word}) == json.dumps({word.value: word.value})

    def test_are_looked_up_only_by_their_values(self, word: Status | Reason) -> None:
        kind = type(word)
        assert kind(word.value) is word
        with pytest.raises(ValueError, match="is not a valid"):
            kind(word.value.upper())

    def test_are_enum_members_and_strings(self, word: Status | Reason) -> None:
        assert isinstance(word, str)
        assert isinstance(word, Enum)


def test_no_word_is_both_a_status_and_a_reason() -> None:
    assert not {str(status) for status in Status} & {str(reason) for reason in Reason}


def test_statuses_are_complete() -> None:
    assert {str(status) for status in Status} == {
        "executed",
        "failed",
        "skipped",
        "audited",
        "interrupted",
        "unknown",
    }


PRECEDENCE = [
    "not_in_environment",
    "not_evaluatable",
    "not_selected",
    "restatement_refused",
    "ended",
    "not_started",
    "backfill_skipped",
    "backfill_emptied",
    "outside_window",
    "plan_limit",
    "signal_not_ready",
    "upstream_not_ready",
    "depends_on_past_gap",
    "upstream_failed",
    "not_applied",
    "no_preview",
    "reused",
    "no_changes",
    "up_to_date",
    "cron_not_due",
]


def test_reasons_for_a_skip_are_in_order_of_precedence() -> None:
    assert [reason for reason in Reason if reason in PRECEDENCE] == PRECEDENCE


def test_the_other_reasons_are_those_of_failures_interruptions_and_missing_audits() -> None:
    assert {str(reason) for reason in Reason} - set(PRECEDENCE) == {
        "error",
        "audit_failed",
        "creation_failed",
        "environment_changed",
        "environment_missing",
        "environment_busy",
        "command_failed",
        "aborted",
        "no_audits",
    }


def test_rank_follows_the_order_of_members() -> None:
    assert sorted(Reason, key=lambda reason: reason.rank) == list(Reason)
    assert [reason.rank for reason in Reason] == list(range(len(Reason)))


def test_causes_are_ordered_as_reasons_are() -> None:
    assert sorted(Cause, key=lambda cause: cause.rank) == list(Cause)
    assert [cause.rank for cause in Cause] == list(range(len(Cause)))


def test_the_cause_is_the_first_of_its_causes() -> None:
    with pytest.raises(ValidationError, match="cause must be the first of causes"):
        executed("a.x", cause="reloaded", causes=("new_interval", "reloaded"))


VALUES = [batch("2024-01-01", "2024-01-02"), audit("not_null"), executed("a.x"), run()]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
class TestValues:
    def test_are_frozen(self, value: BaseModel) -> None:
        for field in type(value).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(value, field, None)

    def test_reject_unknown_fields(self, value: BaseModel) -> None:
        with pytest.raises(ValidationError, match="colour"):
            type(value)(**{**dict(value), "colour": "red"})

    def test_compare_by_value(self, value: BaseModel) -> None:
        assert value == type(value)(**dict(value))
        assert value != object()


class TestFields:
    """Those that users and the documentation know."""

    def test_fields_of_a_report(self) -> None:
        assert set(RunReport.model_fields) >= {
            *("command", "environment", "arguments", "execution_time", "started_at"),
            *("finished_at", "completion", "error", "outcomes", "removed"),
        }

    def test_fields_of_an_outcome(self) -> None:
        assert set(ModelOutcome.model_fields) >= {
            *("name", "fqn", "kind", "cron", "status", "reason", "reasons", "evidence"),
            *("message", "partial", "local_edit", "loaded_through", "next_due", "held_back"),
            *(
                "blocked_by",
                "signals",
                "change_category",
                "error",
                "failed_step",
                "batches",
                "audits",
                "rows",
            ),
            *("bytes", "duration", "started_at", "finished_at", "upstream"),
        }

    def test_fields_of_a_batch(self) -> None:
        assert set(Batch.model_fields) == {
            *("index", "round", "start", "end", "status", "duration", "rows", "bytes"),
            *("audits_passed", "audits_failed", "unrecorded"),
        }

    def test_fields_of_an_audit(self) -> None:
        assert set(AuditOutcome.model_fields) == {
            *("name", "arguments", "blocking", "passed", "rows_failed", "error"),
        }

    def test_strings_become_statuses_and_reasons(self) -> None:
        made = outcome("a.x", "skipped", "up_to_date", "cron_not_due")
        assert made.status is Status.SKIPPED
        assert made.reason is Reason.UP_TO_DATE
        assert all(isinstance(reason, Reason) for reason in made.reasons)
        assert all(isinstance(reason, Reason) for reason in made.evidence)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": "done"},
            {"reason": "tired"},
            {"reasons": ["tired"]},
            {"evidence": {"tired": "observed"}},
            {"evidence": {"cron_not_due": "guessed"}},
        ],
        ids=str,
    )
    def test_invalid_words_are_rejected(self, wrong: dict[str, object]) -> None:
        (field,) = wrong
        with pytest.raises(ValidationError, match=field):
            ModelOutcome(**{**dict(skipped("a.x")), **wrong})

    def test_defaults_are_not_shared(self) -> None:
        one, other = executed("a.x"), executed("a.x")
        assert one.signals is not other.signals

    def test_lists_are_kept_as_tuples(self) -> None:
        made = skipped("a.x", held_back=[interval("2024-01-01", "2024-01-02")], upstream=["a.y"])
        assert made.held_back == (interval("2024-01-01", "2024-01-02"),)
        assert made.upstream == ("a.y",)


class TestTimes:
    """All are aware and in UTC, whatever they were made of."""

    def test_other_zones_become_utc(self) -> None:
        east = timezone(timedelta(hours=5))
        made = skipped("a.x", next_due=datetime(2024, 1, 14, 5, tzinfo=east))
        assert made.next_due == utc("2024-01-14")
        assert made.next_due is not None
        assert made.next_due.utcoffset() == timedelta(0)

    def test_time_zones_of_intervals_become_utc(self) -> None:
        east = timezone(timedelta(hours=5))
        held = Interval(
            datetime(2024, 1, 14, 5, tzinfo=east), datetime(2024, 1, 15, 5, tzinfo=east)
        )
        made = skipped("a.x", held_back=[held])
        assert [moment.utcoffset() for moment in made.held_back[0]] == [timedelta(0)] * 2

    @pytest.mark.parametrize("field", ["loaded_through", "next_due", "started_at", "finished_at"])
    def test_a_time_without_time_zone_is_rejected(self, field: str) -> None:
        with pytest.raises(ValidationError, match=field):
            skipped("a.x", **{field: datetime(2024, 1, 14)})

    def test_a_batch_without_time_zone_is_rejected(self) -> None:
        with pytest.raises(ValidationError, match="start"):
            Batch(index=0, start=datetime(2024, 1, 1), end=NOW, status=Status.EXECUTED)


class TestJson:
    def test_an_interval_is_a_pair_of_times_in_utc(self) -> None:
        made = skipped("a.x", held_back=[interval("2024-01-01", "2024-01-02 06:30")])
        assert made.model_dump(mode="json")["held_back"] == [
            ["2024-01-01T00:00:00Z", "2024-01-02T06:30:00Z"]
        ]

    def test_an_interval_keeps_its_field_names(self) -> None:
        made = skipped("a.x", held_back=[interval("2024-01-01", "2024-01-02")])
        back = ModelOutcome.model_validate_json(made.model_dump_json())
        assert back.held_back[0].start == utc("2024-01-01")
        assert back.held_back[0].end == utc("2024-01-02")

    def test_durations_are_seconds(self) -> None:
        made = batch("2024-01-01", "2024-01-02", duration=timedelta(milliseconds=1500))
        assert made.model_dump(mode="json")["duration"] == 1.5

    def test_evidence_is_keyed_by_plain_text(self) -> None:
        dumped = skipped("a.x").model_dump(mode="json")["evidence"]
        assert dumped == {"cron_not_due": "observed"}
        assert [type(key) for key in dumped] == [str]


class TestRecordedBatches:
    def test_are_evaluated_and_recorded(self) -> None:
        made = failed("a.x", batches=batches("executed", "failed", "skipped", "executed"))
        assert [recorded.index for recorded in made.recorded_batches] == [0, 3]

    def test_cover_intervals_in_order_and_merged(self) -> None:
        made = executed(
            "a.x",
            ("2024-01-05", "2024-01-06"),
            ("2024-01-02", "2024-01-03"),
            ("2024-01-01", "2024-01-02"),
            ("2024-01-01", "2024-01-01 12:00"),
        )
        assert made.executed_intervals == (
            interval("2024-01-01", "2024-01-03"),
            interval("2024-01-05", "2024-01-06"),
        )
        assert skipped("a.x").executed_intervals == ()

    def test_exclude_audited_batches(self) -> None:
        assert outcome("a.x", "audited", batches=batches("audited")).recorded_batches == ()


def test_a_time_before_the_first_year_in_utc_is_rejected() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    with pytest.raises(ValueError, match="the time can't be converted to UTC"):
        executed("a", loaded_through=first)

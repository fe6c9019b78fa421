"""What a predicted run says of its models, and how it is put into words, tables and JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_sqlmesh_tracker import (
    ModelNow,
    ModelOutcome,
    PredictedRun,
    RunReport,
    UnknownModelError,
)
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.predictions.table import prediction

AT = datetime(2024, 1, 10, 0, 5, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def day(number: int) -> Interval:
    """A day of January 2024."""
    start = datetime(2024, 1, number, tzinfo=timezone.utc)
    return Interval(start, start + DAY)


def outcome(name: str, status: str, *reasons: str, **facts: Any) -> ModelOutcome:
    """An outcome; `on=[9]` gives it a batch for each of these days."""
    days = enumerate(facts.pop("on", ()))
    batches = [
        {"index": index, "start": day(on).start, "end": day(on).end, "status": status}
        for index, on in days
    ]
    return ModelOutcome.model_validate(
        {
            "name": name,
            "fqn": ".".join(f'"{part}"' for part in ("wh", *name.split("."))),
            "kind": "full",
            "cron": "@daily",
            "status": status,
            "reason": reasons[0] if reasons else None,
            "reasons": reasons,
            "batches": batches,
            **facts,
        }
    )


def executed(name: str, *reasons: str, cause: str = "new_interval", **facts: Any) -> ModelOutcome:
    """A model of which the 9th of January would be evaluated."""
    return outcome(name, "executed", *reasons, cause=cause, causes=[cause], **{"on": [9], **facts})


def predicted(*outcomes: ModelOutcome, **facts: Any) -> PredictedRun:
    of_report = {"project_files", "project_files_note", "environment_state", "error", "environment"}
    given = {key: facts.pop(key) for key in of_report & facts.keys()}
    report = RunReport(
        command="run",
        execution_time=AT,
        started_at=AT,
        finished_at=AT,
        completion="success",
        outcomes={each.name: each for each in outcomes},
        **{"environment": "prod", "project_files": "read", **given},
    )
    return PredictedRun(report=report, **facts)


@pytest.fixture
def waiting() -> PredictedRun:
    """`s.feed` waits for its signal, and two models wait for it, one through a view."""
    held: dict[str, Any] = {"blocked_by": ["s.feed"]}
    return predicted(
        outcome("s.feed", "skipped", "signal_not_ready", signals={"arrived": [day(9)]}),
        outcome("s.other", "skipped", "cron_not_due"),
        outcome("s.view", "skipped", "upstream_not_ready", upstream=["s.other", "s.feed"], **held),
        executed("s.daily", "upstream_not_ready", upstream=["s.other", "s.view"], **held),
        executed("s.beside"),
    )


class TestWaiting:
    def test_models_between_a_model_and_its_root(self, waiting: PredictedRun) -> None:
        assert waiting.waits_for("s.daily") == {"s.feed": ("s.view",)}
        assert waiting.waits_for("s.view") == {"s.feed": ()}
        assert waiting.waits_for("s.beside") == {}

    def test_a_root_to_which_no_model_leads(self) -> None:
        run = predicted(
            outcome("s.a", "skipped", "upstream_failed", blocked_by=["s.b"]),
            outcome("s.b", "failed", "error"),
        )
        assert run.waits_for("s.a") == {"s.b": ()}

    def test_models_that_a_model_holds_back(self, waiting: PredictedRun) -> None:
        assert waiting.waited_for_by("s.feed") == ("s.view", "s.daily")
        assert waiting.waited_for_by("s.view") == ("s.daily",)
        assert waiting.waited_for_by("s.beside") == ()

    def test_paragraphs_name_both(self, waiting: PredictedRun) -> None:
        assert waiting.explain("s.view").splitlines() == [
            "s.view would be skipped: an upstream signal is not ready (s.feed)",
            "  run         prod, at 2024-01-10 00:05:00 UTC",
            "  waits for   s.feed: its signal is not ready (arrived)",
            "  holds up    s.daily",
        ]
        through = "  waits for   s.feed (through s.view): its signal is not ready (arrived)"
        assert through in waiting.explain("s.daily")


class TestLookingUp:
    def test_names_globs_and_objects(self, waiting: PredictedRun) -> None:
        assert waiting["S.FEED"] is waiting["s.feed"] is waiting[waiting["s.feed"]]
        assert [each.name for each in waiting.matching("s.[vd]*")] == ["s.view", "s.daily"]
        assert waiting.explain("s.[vd]*").count("\n\n") == 1

    def test_a_typo(self, waiting: PredictedRun) -> None:
        for look in (waiting.explain, waiting.message, waiting.waits_for, waiting.waited_for_by):
            with pytest.raises(UnknownModelError, match=r"did you mean s\.daily"):
                look("s.dayly")


def test_facts_of_the_run(waiting: PredictedRun) -> None:
    assert (waiting.environment, waiting.at) == ("prod", AT)
    assert waiting.unfinished_plan is None
    assert list(waiting.outcomes) == ["s.feed", "s.other", "s.view", "s.daily", "s.beside"]


MESSAGES = [
    (executed("s.m"), "would be evaluated in 1 batch: new interval"),
    (
        executed("s.m", on=[8, 9], cause="first_load", changed_by=["s.m"]),
        "would be evaluated in 2 batches: first load after a change",
    ),
    (executed("s.m", cause="filled_gap"), "would be evaluated in 1 batch: to fill a gap"),
    (
        executed("s.m", "signal_not_ready"),
        "would be evaluated in 1 batch: new interval; partly held back: its signal is not ready",
    ),
    (
        executed("s.m", upstream_behind={"s.up": [day(9)]}),
        "would be evaluated in 1 batch: new interval; ahead of s.up, which has not loaded "
        "2024-01-09",
    ),
    (outcome("s.m", "executed", on=[9]), "would be evaluated in 1 batch"),
    (outcome("s.m", "audited", kind="audit", on=[9]), "would be audited: 2024-01-09"),
    (
        outcome("s.m", "skipped", "cron_not_due", next_due=day(11).start),
        "would be skipped: its cron is not due until 2024-01-11 00:00 UTC",
    ),
    (outcome("s.m", "skipped", "cron_not_due"), "would be skipped: its cron is not due"),
    (
        outcome("s.m", "skipped", "not_in_environment"),
        "would be skipped: it is not in the environment",
    ),
    (
        outcome("s.m", "skipped", "no_changes", kind="seed"),
        "would be skipped: its seed is loaded",
    ),
    (
        outcome("s.m", "skipped", "upstream_failed", blocked_by=["s.up"]),
        "would be skipped: an upstream model would fail (s.up)",
    ),
    (
        outcome("s.m", "failed", "error", error="ValueError: Start date", on=[9]),
        "would fail: it starts after the last tick of its cron, which SQLMesh rejects",
    ),
    (
        outcome("s.m", "interrupted", "command_failed", failed_step="the signal arrived raised"),
        "would not be evaluated: the signal arrived raised",
    ),
    (outcome("s.m", "unknown", note="the tracker failed"), "unknown: the tracker failed"),
]


@pytest.mark.parametrize(("model", "message"), MESSAGES, ids=[text for _, text in MESSAGES])
def test_a_model_in_one_line(model: ModelOutcome, message: str) -> None:
    run = predicted(model, outcome("s.up", "failed", "error"))
    assert run.message("s.m") == message
    assert run.explain("s.m").startswith(f"s.m {message}\n")
    assert run.to_dict()["models"]["s.m"]["message"] == message


def test_an_evaluated_model_is_explained_by_facts() -> None:
    model = executed(
        "s.m",
        "signal_not_ready",
        loaded_through=day(9).end,
        upstream_behind={"s.up": [day(9)]},
        waiting_since=day(7).end,
        held_back=[day(7)],
        signals={"arrived": [day(7)]},
        local_edit=True,
    )
    now = ModelNow(
        loaded_through=day(6).end,
        assumed_ready=("arrived", "complete"),
        next_restatement=day(11).start,
        shared_with=("dev", "test"),
    )
    run = predicted(model, now={"s.m": now}, expires_at=day(17).start, environment="pr_7")
    assert run.explain("s.m").splitlines()[1:] == [
        "  run         pr_7, at 2024-01-10 00:05:00 UTC",
        "              pr_7 expires at 2024-01-17 00:00 UTC",
        "  evaluates   2024-01-09",
        "  cause       new_interval",
        "  intervals   loaded through 2024-01-06",
        "              the run would load it through 2024-01-09",
        "              1 day held back: 2024-01-07",
        "  waiting     since 2024-01-08 00:00:00 UTC",
        "  signal      arrived held back 2024-01-07",
        "  upstream    s.up has not loaded 2024-01-09",
        "  local edit  the project's definition differs from the environment's",
        "  signals     arrived, complete were not called: assumed to be ready",
        "  restated    automatically at 2024-01-11 00:00 UTC",
        "  shared      runs of dev, test load the same table",
    ]


def test_models_that_are_not_evaluated_are_explained_by_facts() -> None:
    failing = outcome(
        "s.m", "failed", "error", cron="@weekly", error="ValueError: Start date", on=[9]
    )
    audited = outcome("s.a", "audited", kind="audit", on=[9])
    nothing_new = executed("s.n", loaded_through=day(9).end)
    loaded = {name: ModelNow(loaded_through=day(9).end) for name in ("s.m", "s.n")}
    run = predicted(failing, audited, nothing_new, now=loaded)
    assert run.explain("s.m").splitlines()[1:] == [
        "  run         prod, at 2024-01-10 00:05:00 UTC",
        "  cron        @weekly",
        "  error       ValueError: Start date",
        "  intervals   loaded through 2024-01-09",
        "",
        "Each run fails until the next tick of its cron.",
    ]
    assert "  audits      2024-01-09" in run.explain("s.a")
    assert "the run would load it" not in run.explain("s.n")
    one_signal = predicted(executed("s.m"), now={"s.m": ModelNow(assumed_ready=("arrived",))})
    assert "  signals     arrived was not called: assumed to be" in one_signal.explain("s.m")


def test_a_table_has_the_statuses_that_models_would_have() -> None:
    run = predicted(
        executed("s.feed", upstream_behind={"s.up": [day(9)]}),
        executed("s.part", "signal_not_ready"),
        executed("s.two"),
        outcome("s.late", "failed", "error", error="ValueError: Start date", on=[9]),
        outcome("s.audit", "audited", kind="audit", on=[9]),
        outcome("s.weekly", "skipped", "cron_not_due", next_due=day(14).start),
        outcome("raw.table", "skipped", "not_evaluatable", kind="external"),
        now={
            "s.feed": ModelNow(assumed_ready=("arrived",)),
            "s.two": ModelNow(assumed_ready=("arrived", "complete")),
        },
    )
    assert prediction(run, width=90).splitlines() == [
        "if prod were run at 2024-01-10 00:05:00 UTC: 3 executed, 1 failed, 1 skipped, 1 audited",
        "s.feed, s.two are assumed to be ready: their signals were not called (see --signals)",
        "would be  model     intervals or reason",
        "executed  s.feed    2024-01-09: new_interval; ahead of s.up, which has not loaded",
        "                    2024-01-09; if arrived is ready",
        "executed  s.part    2024-01-09: new_interval; signal_not_ready: partly held back",
        "executed  s.two     2024-01-09: new_interval; if arrived, complete are ready",
        "failed    s.late    error: it starts after the last tick of its cron, which SQLMesh",
        "                    rejects",
        "audited   s.audit   2024-01-09",
        "skipped   s.weekly  cron_not_due: next due 2024-01-14 00:00 UTC",
    ]
    assert "\x1b[" in prediction(run, color=True)


def test_a_table_without_models() -> None:
    text = prediction(predicted())
    assert text == "if prod were run at 2024-01-10 00:05:00 UTC: no models"


def test_facts_about_the_environment_are_above_the_table() -> None:
    state = EnvironmentState(unfinished_plan="abcdefghij", environments=("dev", "prod"))
    run = predicted(
        outcome("s.m", "interrupted", "environment_busy", "command_failed"),
        executed("s.odd", cron="0 8-18 * * *", undetermined_cron=True),
        environment_state=state,
        environment="dev",
        project_files="not_read",
        project_files_note="SyntaxError",
        expires_at=day(9).start,
        now={
            "s.m": ModelNow(next_restatement=day(11).start, shared_with=("prod",)),
            "s.odd": ModelNow(assumed_ready=("arrived",), shared_with=("pr_7", "prod")),
        },
    )
    assert run.unfinished_plan == "abcdefghij"
    assert run.message("s.m") == "would wait: plan abcdefgh of dev is not finished"
    assert prediction(run, width=160).splitlines()[1:-3] == [
        "plan abcdefgh of dev is not finished; if it failed or was stopped, apply a plan to dev: "
        "until then, runs wait (environments: dev, prod)",
        "dev expired at 2024-01-09 00:00 UTC: the next run of prod removes it",
        "the project's files were not read: SyntaxError",
        "s.odd is assumed to be ready: its signals were not called (see --signals)",
        "when these are due depends on the SQLMesh process: s.odd (0 8-18 * * *)",
        "automatic restatements to come: s.m at 2024-01-11 00:00 UTC",
        "runs of pr_7 load the same tables of 1 model",
        "runs of prod load the same tables of 2 models",
    ]


def test_a_signal_that_raised() -> None:
    run = predicted(
        outcome("s.m", "interrupted", "command_failed", failed_step="the signal arrived raised"),
        error="ValueError: the feed is unreachable\n\nraised as SignalEvalError: no",
    )
    assert run.explain("s.m").splitlines()[:3] == [
        "s.m would not be evaluated: the signal arrived raised",
        "  run         prod, at 2024-01-10 00:05:00 UTC",
        "  raised      ValueError: the feed is unreachable",
    ]
    assert "a signal raised ValueError: the feed is unreachable\n" in prediction(run)


def test_json() -> None:
    model = outcome(
        "s.m",
        "skipped",
        "upstream_failed",
        "cron_not_due",
        next_due=day(14).start,
        waiting_since=day(9).end,
        blocked_by=["s.up"],
    )
    now = ModelNow(loaded_through=day(8).end, next_restatement=day(12).start, shared_with=("dev",))
    up = outcome("s.up", "failed", "error")
    run = predicted(up, model, executed("s.n"), now={"s.m": now}, expires_at=day(17).start)
    document = json.loads(run.to_json())
    assert document == run.to_dict()
    assert document["expires_at"] == "2024-01-17T00:00:00+00:00"
    assert document["models"]["s.m"] == {
        "status": "skipped",
        "reason": "upstream_failed",
        "reasons": ["upstream_failed", "cron_not_due"],
        "cause": None,
        "causes": [],
        "intervals": [],
        "next_due": "2024-01-14T00:00:00+00:00",
        "waiting_since": "2024-01-10T00:00:00+00:00",
        "blocked_by": ["s.up"],
        "loaded_through": "2024-01-09T00:00:00+00:00",
        "assumed_ready": [],
        "undetermined_cron": False,
        "safe_cron": None,
        "next_restatement": "2024-01-12T00:00:00+00:00",
        "shared_with": ["dev"],
        "message": "would be skipped: an upstream model would fail (s.up)",
    }
    assert document["models"]["s.n"]["reason"] is None
    assert document["models"]["s.n"]["intervals"] == [
        ["2024-01-09T00:00:00+00:00", "2024-01-10T00:00:00+00:00"]
    ]

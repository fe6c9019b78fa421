"""Histories and findings in words."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from pytest_sqlmesh_tracker.histories.diagnosing import Finding, Sort
from pytest_sqlmesh_tracker.histories.wording import finding_in_words, steps_in_words
from pytest_sqlmesh_tracker.strategies import Change, Failure, History, Restate, Run

BEGIN = datetime(2024, 1, 2, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Run(), "2024-01-03 00:00  run"),
        (Run(day=2, hour=6, ignore_cron=True), "2024-01-04 06:00  run with ignore_cron"),
        (Run(held=("a", "b")), "2024-01-03 00:00  run; a, b are held back"),
        (
            Run(failures=(Failure("a", batch=1),)),
            "2024-01-03 00:00  run; a fails in batch 1, before its rows are written",
        ),
        (Run(failures=(Failure("a", audit=0),)), "2024-01-03 00:00  run; audit 0 of a fails"),
        (Restate(), "2024-01-03 00:00  everything is restated"),
        (
            Restate("a", first=0, last=1, day=2, held=("b",)),
            "2024-01-04 00:00  a is restated from 2024-01-02 to 2024-01-03; b is held back",
        ),
        (Restate("a", first=0, last=0), "2024-01-03 00:00  a is restated for 2024-01-02"),
        (Restate("a", last=0), "2024-01-03 00:00  a is restated to 2024-01-02"),
        (Change("a.sql", "SELECT 1"), "2024-01-03 00:00  a.sql is changed and planned"),
    ],
)
def test_a_step_has_a_time_an_action_and_what_goes_wrong(step: Run, words: str) -> None:
    assert next(steps_in_words(History([step]), BEGIN)) == words


def test_a_step_whose_time_has_passed_is_played_at_once() -> None:
    history = History([Run(day=3), Run(day=1)], days=3)
    assert list(steps_in_words(history, BEGIN)) == [
        "2024-01-05 00:00  run",
        "2024-01-05 00:00  run",
        "2024-01-05 00:00  run with ignore_cron, which loads what is missing",
    ]


def test_a_model_that_only_fails_has_no_rows_to_show() -> None:
    finding = Finding("a", Sort.DEPENDS_ON_HISTORY, History([], 1), None, "ValueError: no luck")
    assert finding_in_words(finding, BEGIN).splitlines() == [
        "a depends on history",
        "  history         2024-01-03 00:00  run with ignore_cron, which loads what is missing",
        "  compared with   one load of everything at its end",
        "  mended by       a restatement of everything",
        "  at its end      the model fails: ValueError: no luck",
        "",
        "  to play it again",
        "    replay(project, History([], days=1))",
    ]

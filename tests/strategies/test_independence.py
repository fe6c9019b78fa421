"""Whether the rows of models depend on the history: what is promised for which kind."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import SandboxError, Sandboxes, Tracker, UnknownModelError
from pytest_sqlmesh_tracker.histories.diagnosing import Finding, Sort
from pytest_sqlmesh_tracker.histories.playing import Player
from pytest_sqlmesh_tracker.sandbox.making import SandboxMaker
from pytest_sqlmesh_tracker.strategies import (
    Change,
    Failure,
    History,
    Restate,
    Run,
    assert_history_independent,
    histories,
    replay,
)
from pytest_sqlmesh_tracker.strategies.independence import search

TWO_DAYS = histories(days=2)
TWICE = History([Run(failures=(Failure("shop.appended", after_write=True),))], days=2)


@pytest.fixture(scope="module")
def findings(sqlmesh_project_factory: SandboxMaker, options: dict[str, Any]) -> dict[str, Finding]:
    """What is found in the whole project."""
    with search(sqlmesh_project_factory, None, TWO_DAYS, 2, {}, None, options) as searching:
        return {finding.model: finding for finding in searching.findings()}


@pytest.mark.long
class TestAProject:
    def test_independent_models_are_not_found(self, findings: dict[str, Finding]) -> None:
        # Of these, one is full and weekly, and one a slowly changing dimension.
        assert set(findings) == {"shop.appended", "shop.loaded"}

    def test_a_model_that_appends_keeps_what_was_written_before_a_failure(
        self, findings: dict[str, Finding]
    ) -> None:
        finding = findings["shop.appended"]
        assert (finding.history, finding.sort) == (TWICE, Sort.NOT_MENDED)
        assert finding.difference is not None
        assert finding.difference.only_left == 2

    def test_a_time_of_loading_is_mended_by_a_restatement(
        self, findings: dict[str, Finding]
    ) -> None:
        finding = findings["shop.loaded"]
        assert (finding.history, finding.sort) == (History([], days=2), Sort.DEPENDS_ON_HISTORY)

    def test_random_numbers_are_not_deterministic(
        self, sqlmesh_project_factory: Sandboxes, lottery: Path
    ) -> None:
        with pytest.raises(AssertionError, match=r"lottery\.drawn is not deterministic"):
            assert_history_independent(
                sqlmesh_project_factory, path=str(lottery), at="2024-01-02", histories=TWO_DAYS
            )


class TestAssertHistoryIndependent:
    def test_shows_the_history_the_rows_and_how_to_play_it_again(
        self, sqlmesh_project_factory: Sandboxes, options: dict[str, Any]
    ) -> None:
        with pytest.raises(AssertionError) as failed:
            assert_history_independent(
                sqlmesh_project_factory, "shop.appended", histories=TWO_DAYS, examples=0, **options
            )
        assert str(failed.value).splitlines() == [
            "shop.appended depends on history, and is not mended by a restatement: 2 too much",
            "  history         2024-01-03 00:00  run; shop.appended fails, after its rows were "
            "written",
            "                  2024-01-04 00:00  run with ignore_cron, which loads what is missing",
            "  compared with   one load of everything at its end",
            "  mended by       nothing: a restatement of everything leaves other rows, too",
            "  compared        ts, amount",
            "  rows            8 after the history, 6 after one load",
            "",
            "  too much (2)",
            "    ts                   amount  times",
            "    2024-01-02 00:00:00  2       2, not 1",
            "    2024-01-02 12:00:00  5       2, not 1",
            "",
            "  to play it again",
            f"    replay(project, {TWICE})",
        ]

    @pytest.mark.long
    def test_passes_without_the_columns_that_may_differ(
        self, sqlmesh_project_factory: Sandboxes, options: dict[str, Any], sqlmesh_tracker: Tracker
    ) -> None:
        assert_history_independent(
            sqlmesh_project_factory,
            ["shop.loaded"],
            histories=TWO_DAYS,
            examples=1,
            ignore={"shop.loaded": ["loaded_at"]},
            **options,
        )
        # The test sees nothing of the histories.
        assert not sqlmesh_tracker.reports

    @pytest.mark.long
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ({"at": None}, "requires at="),
            ({"models": "shop.apended"}, "shop.apended"),
            ({"models": "shop.empty", "histories": TWO_DAYS, "examples": 0}, "compared nothing"),
            ({"ignore": {"shop.lo": ["x"]}, "models": "shop.orders"}, "no model 'shop.lo'"),
            (
                {"ignore": {"shop.orders": ["amont"]}, "models": "shop.orders", "examples": 0},
                "shop.orders has no column 'amont'; did you mean amount?",
            ),
        ],
    )
    def test_rejects_what_it_cannot_check(
        self,
        sqlmesh_project_factory: Sandboxes,
        options: dict[str, Any],
        arguments: dict[str, Any],
        complaint: str,
    ) -> None:
        with pytest.raises((SandboxError, UnknownModelError), match=complaint):
            assert_history_independent(sqlmesh_project_factory, **{**options, **arguments})


class TestReplay:
    @pytest.mark.long
    def test_loads_at_its_end_what_is_missing(
        self, sqlmesh_project_factory: Sandboxes, options: dict[str, Any]
    ) -> None:
        with sqlmesh_project_factory(**options) as project:
            first, last = replay(project, TWICE)
            assert first["shop.appended"].status == "failed"
            assert last["shop.appended"].status == "executed"
            assert len(project.rows("shop.appended")) == 8

    @pytest.mark.long
    @pytest.mark.parametrize("forward_only", [False, True])
    def test_applies_a_change_that_failed_again(
        self,
        sqlmesh_project_factory: Sandboxes,
        options: dict[str, Any],
        shop: Path,
        forward_only: bool,
    ) -> None:
        path = "models/shop.by_day.sql"
        text = (shop / path).read_text().replace("AS third", "AS a_third")
        if forward_only:
            text = text.replace(
                "(time_column ts", "(time_column ts, forward_only true, on_destructive_change allow"
            )
        failure = Failure("shop.by_day", after_write=True)
        with sqlmesh_project_factory(**options) as project:
            replay(project, History([Change(path, text, failures=(failure,))], days=2))
            assert [*project.rows("shop.by_day")[0]] == ["ts", "amount", "a_third"]
            assert len(project.rows("shop.by_day")) == 3


class TestAPlayer:
    @pytest.mark.long
    def test_plays_a_step_at_its_own_time_whatever_was_played_before(
        self, sqlmesh_project_factory: Sandboxes, options: dict[str, Any]
    ) -> None:
        # A restatement of one day leads to the same rows on each of the following days.
        late, early = (Restate("shop.by_day", 0, 0, day) for day in (4, 2))
        with sqlmesh_project_factory(**options) as first:
            player = Player(first, first.last_set)
            player.after([late])
            with player.sandbox(player.after([early, Run(day=3)])) as sandbox:
                latest = "SELECT MAX(loaded_at)::DATE AS day FROM shop.loaded"
                assert sandbox.rows(latest) == [{"day": date(2024, 1, 5)}]
            player.close()

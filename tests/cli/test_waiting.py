"""Runs that must wait for a plan of their environment, or whose selectors match no models."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.reports.files import entries_from_json

from .conftest import Typed, execute_in_state
from .test_interrupts import started

TOMORROW = "2024-01-10 00:05"


@pytest.fixture
def busy(shop: Path) -> Path:
    """The shop after a plan of prod that was killed in its last steps."""
    execute_in_state(shop, "UPDATE sqlmesh._environments SET finalized_ts = NULL")
    return shop


class TestABusyEnvironment:
    @pytest.mark.parametrize("seconds", ["0", "0.5"])
    def test_is_waited_for_at_most_as_long_as_requested(
        self,
        busy: Path,  # noqa: ARG002
        typed: Typed,
        seconds: str,
    ) -> None:
        began = time.monotonic()
        ended = typed("run", "--wait", seconds, "--report", "night.json", when=TOMORROW)

        assert time.monotonic() - began < 20
        assert ended.code == 2
        [(_, report)] = entries_from_json(Path("night.json").read_bytes())
        assert report.completion == "raised"
        assert report.by_reason["environment_busy"] == set(report.outcomes)
        assert len(report.outcomes) == 4

    @pytest.mark.parametrize("quietly", [(), ("--quiet",), ("--json",)], ids=str)
    def test_is_reported_at_once(
        self,
        busy: Path,  # noqa: ARG002
        typed: Typed,
        quietly: tuple[str, ...],
    ) -> None:
        ended = typed("run", "--wait", "0.1", *quietly, when=TOMORROW)

        [line] = [line for line in ended.err.splitlines() if line.startswith("Waiting")]
        assert line.startswith("Waiting (limit this with --wait SECONDS): plan ")
        assert "of prod is not finished; if it failed or was stopped, apply a plan to prod" in line
        assert line.endswith("(environments: prod)")

    def test_is_reported_without_waiting_if_the_limit_is_zero(
        self,
        busy: Path,  # noqa: ARG002
        typed: Typed,
    ) -> None:
        ended = typed("run", "--wait", "0", when=TOMORROW)
        assert "Waiting" not in ended.err
        assert "of prod is not finished" in ended.out

    @pytest.mark.long
    @pytest.mark.processes
    def test_stops_waiting_when_interrupted(self, busy: Path) -> None:  # noqa: ARG002
        process = started("run", "--report", "night.json")
        assert process.stderr is not None
        wait_for(process.stderr.readline, "Waiting")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.communicate(timeout=120)

        assert time.monotonic() - began < 25
        assert process.returncode == 130
        [(_, report)] = entries_from_json(Path("night.json").read_bytes())
        assert report.completion == "interrupted"
        assert len(report.interrupted) == 4
        assert {tuple(outcome.reasons) for outcome in report.outcomes.values()} == {
            ("environment_busy", "aborted")
        }

    @pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
    def test_rejects_negative_and_infinite_waits(self, typed: Typed, seconds: str) -> None:
        ended = typed("run", "--wait", seconds)
        assert ended.code == 2
        assert "--wait" in ended.err


def wait_for(read: Callable[[], str], start: str) -> None:
    while not (line := read()).startswith(start):
        assert line, "it ended"


class TestSelectors:
    """A run that selects nothing would be green, and have done nothing."""

    def test_a_selector_without_a_match_is_rejected(self, shop: Path, typed: Typed) -> None:  # noqa: ARG002
        ended = typed("run", "--select-model", "shop.orderz", when=TOMORROW)

        assert ended.code == 2
        assert ended.err.splitlines()[-1] == (
            "Error: --select-model shop.orderz selects no model of environment prod; "
            "did you mean shop.orders?"
        )

    def test_one_of_several_selectors_without_a_match_is_rejected(
        self,
        shop: Path,  # noqa: ARG002
        typed: Typed,
    ) -> None:
        selected = ("--select-model", "shop.orders", "--select-model", "nothing.*")
        ended = typed("run", *selected, "--report", "night.json", when=TOMORROW)

        assert ended.code == 2
        assert "--select-model nothing.* selects no model of environment prod" in ended.err
        # The run has not begun.
        assert entries_from_json(Path("night.json").read_bytes()) == []

    def test_a_selector_for_a_model_that_was_never_planned_is_rejected(
        self, shop: Path, typed: Typed
    ) -> None:
        (shop / "models" / "later.sql").write_text("MODEL (name shop.later); SELECT 1 AS n")
        ended = typed("run", "--select-model", "shop.later", when=TOMORROW, load=True)

        assert ended.code == 2
        assert "shop.later" in ended.err

    @pytest.mark.long
    @pytest.mark.parametrize(
        "extra",
        [
            ("external_models.yaml", "- name: src.t\n  columns: {x: int}\n"),
            ("models/emb.sql", "MODEL (name a.emb, kind EMBEDDED); SELECT 1 AS x"),
            ("audits/a.sql", "AUDIT (name an_audit, standalone true); SELECT 1 FROM shop.orders"),
        ],
        ids=["external", "embedded", "audit"],
    )
    def test_a_selector_with_a_typo_is_rejected_with_a_close_match(
        self, shop: Path, typed: Typed, extra: tuple[str, str]
    ) -> None:
        file = shop / extra[0]
        file.parent.mkdir(exist_ok=True)
        file.write_text(extra[1])
        planned = typed("plan", "--auto-apply", "--no-prompts", when="2024-01-09 00:06")
        assert planned.code == 0, planned.err
        ended = typed("run", "--select-model", "shop.ordres", when=TOMORROW)
        assert (ended.code, "did you mean shop.orders?" in ended.err) == (2, True)

    @pytest.mark.parametrize("selector", ["+shop.daily", "tag:nightly"])
    @pytest.mark.long
    def test_a_matching_selector_is_accepted(
        self,
        shop: Path,
        typed: Typed,
        selector: str,
    ) -> None:
        model = shop / "models" / "shop.daily.sql"
        model.write_text(model.read_text().replace("cron", "tags (nightly), cron", 1))
        typed("plan", "--auto-apply", "--no-prompts", when="2024-01-09 00:06")
        assert typed("run", "--select-model", selector, when=TOMORROW).code == 0

    def test_a_selector_for_changes_in_git_may_match_nothing(
        self,
        shop: Path,
        typed: Typed,
    ) -> None:
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
            subprocess.run(["git", *who, *words], check=True, cwd=shop)
        ended = typed("run", "--select-model", "git:HEAD", "--json", when=TOMORROW)
        assert ended.code == 0, ended.err
        assert ended.report.by_reason["not_selected"]

    def test_a_run_with_a_selector_fails_if_the_state_is_unreadable(
        self, shop: Path, typed: Typed
    ) -> None:
        execute_in_state(shop, "ALTER TABLE sqlmesh._environments RENAME TO hidden")
        ended = typed("run", "--select-model", "shop.orders", "--json", when=TOMORROW)
        assert ended.code == 2
        assert ended.report.completion == "raised"

    def test_a_run_with_a_selector_fails_if_the_environment_is_missing(
        self,
        shop: Path,  # noqa: ARG002
        typed: Typed,
    ) -> None:
        ended = typed("run", "nowhere", "--select-model", "shop.order", when=TOMORROW)
        assert ended.code == 2
        assert "nowhere" in ended.out

"""Rules that limit how long models wait and how old their data is: `run --policy` and `gate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Typed

TOLERANT = """
[[tool.sqlmesh_tracker.gate.rules]]
models = "marketing.*"
tolerate = { reason = "signal_not_ready", for = "2 days" }
"""
FRESH = """
[[tool.sqlmesh_tracker.gate.rules]]
models = "shop.*"
fresh_within = "26 hours"
"""


@pytest.mark.long
def test_a_nightly_run_is_red_as_soon_as_a_model_has_waited_for_too_long(
    shop: Path, typed: Typed
) -> None:
    (shop / "feed_is_late").touch()
    Path("policy.toml").write_text(TOLERANT)
    for when, code in (("2024-01-10 06:00", 0), ("2024-01-11 06:00", 0), ("2024-01-12 06:00", 1)):
        ended = typed("run", "prod", "--policy", "policy.toml", when=when)
        assert ended.code == code, ended.out
        assert (
            "held back since 2024-01-10 00:00 UTC, tolerated for 2 days, until 2024-01-12 00:00 UTC"
        ) in " ".join(ended.out.split())
    assert "gate failed: 1 unexpected skip" in ended.out


def test_reports_are_judged_later_by_their_own_execution_time(shop: Path, typed: Typed) -> None:
    (shop / "feed_is_late").touch()
    Path("pyproject.toml").write_text(TOLERANT)
    typed("run", "prod", "--report", "night.json", when="2024-01-11 06:00")
    later = typed("gate", "night.json", "--json", when="2024-03-01")
    assert later.code == 0
    result = json.loads(later.out)
    [tolerated] = result["tolerated"]
    assert tolerated["model"] == "marketing.spend"
    assert tolerated["tolerated_until"] == "2024-01-12T00:00:00Z"
    assert tolerated["rule"]["tolerate"] == {"reason": "signal_not_ready", "for": "2 days"}
    quiet = typed("gate", "night.json", "--quiet")
    assert "tolerated: marketing.spend was skipped" in " ".join(quiet.out.split())


def test_old_data_fails_a_run_in_which_nothing_else_is_wrong(shop: Path, typed: Typed) -> None:  # noqa: ARG001
    Path("pyproject.toml").write_text(FRESH)
    ended = typed("run", "prod", "--report", "night.xml", when="2024-01-10 00:05")
    assert ended.code == 1
    assert (
        "shop.weekly is loaded up to 2024-01-07 00:00 UTC, which is 72 hours 5 minutes old: rule 1 "
        "(shop.*) allows at most 26 hours"
    ) in " ".join(ended.out.split())
    assert "gate failed: 1 stale model (4 outcomes in 1 report)" in ended.out
    assert "stale_model" in Path("night.xml").read_text()


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ('fresh_within = "26 horus"', "fresh_within: unknown unit 'horus'; did you mean hours?"),
        (
            'tolerate = { reason = "signal_not_ready", four = "2 days" }',
            "tolerate: unknown key 'four'; did you mean for?",
        ),
    ],
)
def test_a_limit_that_is_not_valid_ends_a_run_before_it_begins(
    shop: Path,  # noqa: ARG001
    typed: Typed,
    key: str,
    complaint: str,
) -> None:
    Path("policy.toml").write_text(f"[[rules]]\nmodels = 'shop.*'\n{key}\n")
    ended = typed("run", "prod", "--policy", "policy.toml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"Error: policy.toml: rule 1: {complaint}\n"

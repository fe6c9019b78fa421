"""A diagnosis of tracking, as data and on a terminal."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker.doctor.diagnosis import Check, Diagnosis, Level
from pytest_sqlmesh_tracker.render.doctor import text

FINE = Check("SQLMesh", "ok", "0.236.4")
NEW = Check("Console.stop", "warning", "has new parameters: why", "whether a round ended")
GONE = Check("DuckDB", "problem", "2.0.0 is incompatible with SQLMesh 0.206.0, which needs <2")


@pytest.mark.parametrize(
    ("checks", "degraded", "conclusion"),
    [
        ((), False, "Tracking works."),
        ((FINE,), False, "Tracking works."),
        ((FINE, NEW), False, "Tracking works, but see the warnings above."),
        (
            (FINE, NEW, GONE),
            True,
            "Tracking is degraded: reports can be wrong or have unknown outcomes.",
        ),
    ],
)
def test_only_a_problem_degrades_tracking(
    checks: tuple[Check, ...], degraded: bool, conclusion: str
) -> None:
    diagnosis = Diagnosis(checks)
    assert diagnosis.degraded is degraded
    assert text(diagnosis).splitlines()[-1] == conclusion


def test_every_check_has_a_line() -> None:
    assert text(Diagnosis((FINE, NEW, GONE)), width=120).splitlines()[:4] == [
        "ok       SQLMesh       0.236.4",
        "warning  Console.stop  has new parameters: why; this affects whether a round ended",
        "problem  DuckDB        2.0.0 is incompatible with SQLMesh 0.206.0, which needs <2",
        "",
    ]


def test_long_lines_are_wrapped_with_an_indent() -> None:
    assert text(Diagnosis((NEW,)), width=60).splitlines()[:2] == [
        "warning  Console.stop  has new parameters: why; this affects",
        "                       whether a round ended",
    ]


@pytest.mark.parametrize("level", ["ok", "warning", "problem"])
def test_a_diagnosis_contains_no_control_characters(level: Level) -> None:
    shown = text(Diagnosis((Check("\x1b[31mname", level, "", "a\x1b]0;title\x07"),)))
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_diagnosis_is_plain_data() -> None:
    assert Diagnosis((FINE, NEW)).to_dict() == {
        "degraded": False,
        "checks": [
            {"name": "SQLMesh", "level": "ok", "detail": "0.236.4", "concern": ""},
            {
                "name": "Console.stop",
                "level": "warning",
                "detail": "has new parameters: why",
                "concern": "whether a round ended",
            },
        ],
    }

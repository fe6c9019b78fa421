"""A diagnosis as text for a terminal."""

from __future__ import annotations

from textwrap import wrap

from pytest_sqlmesh_tracker.doctor.diagnosis import Check, Diagnosis
from pytest_sqlmesh_tracker.wording.printable import printable


def text(diagnosis: Diagnosis, *, width: int = 100) -> str:
    """A paragraph per check, and the conclusion in the last line."""
    names = max((len(check.name) for check in diagnosis.checks), default=0)
    lines = [line for check in diagnosis.checks for line in _lines(check, names, width)]
    return printable("\n".join([*lines, "", _conclusion(diagnosis)]))


def _lines(check: Check, names: int, width: int) -> list[str]:
    detail = f"{check.detail}; this affects {check.concern}" if check.concern else check.detail
    head = f"{check.level:<8} {check.name:<{names}}  "
    folded = wrap(detail, max(width - len(head), 20)) or [""]
    lines = [head + folded[0], *(" " * len(head) + line for line in folded[1:])]
    return [line.rstrip() for line in lines]


def _conclusion(diagnosis: Diagnosis) -> str:
    levels = {check.level for check in diagnosis.checks}
    if diagnosis.degraded:
        return "Tracking is degraded: reports can be wrong or have unknown outcomes."
    if "warning" in levels:
        return "Tracking works, but see the warnings above."
    return "Tracking works."

"""What a test's entry in a JUnit XML file says of its invocations: properties, as CI shows them."""

from __future__ import annotations

from collections.abc import Sequence

from ..outcomes import ModelOutcome, Status
from ..report import RunReport
from .words import name_of

_LIMIT = 1000


def properties(reports: Sequence[RunReport]) -> list[tuple[str, str]]:
    """How many invocations there were, and for each status the models that had it in any of them.

    Models are named once, in the order of the reports, with the reason where there is one; of very
    many, as many as fit into a thousand characters, and the number of the others.
    """
    listed: dict[Status, dict[str, None]] = {status: {} for status in Status}
    for report in reports:
        for outcome in report.outcomes.values():
            listed[outcome.status][_label(outcome)] = None
    found = [(f"sqlmesh_{status}", _joined(list(labels))) for status, labels in listed.items()]
    return [
        ("sqlmesh_invocations", str(len(reports))),
        *((n, value) for n, value in found if value),
    ]


def _label(outcome: ModelOutcome) -> str:
    name = name_of(outcome.name)
    return f"{name} ({outcome.reason})" if outcome.reason else name


def _joined(labels: list[str]) -> str:
    kept, length = 0, 0
    for label in labels:
        length += len(label) + 2
        if length > _LIMIT and kept:
            break
        kept += 1
    more = f" and {len(labels) - kept} more" if kept < len(labels) else ""
    return ", ".join(labels[:kept]) + more

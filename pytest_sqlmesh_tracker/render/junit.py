"""What a test's entry in a JUnit XML file says of its invocations: properties, as CI shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..outcomes import ModelOutcome, Status
from ..report import RunReport
from .words import name_of

_INVOCATIONS, _REPEATED = "sqlmesh_invocations", "sqlmesh_repeated_tries"
_PROPERTIES = {status: f"sqlmesh_{status}" for status in Status}
_LIMIT = 1000


def properties(reports: Sequence[RunReport], repeated: int = 0) -> list[tuple[str, str]]:
    """How many invocations there were, and for each status the models that had it in any of them.

    Models are named once, in the order of the reports, with the reason where there is one; of very
    many, as many as fit into a thousand characters, and the number of the others.

    Args:
        reports: those of the test's last try.
        repeated: how many earlier tries there were.
    """
    listed: dict[Status, dict[str, None]] = {status: {} for status in Status}
    for report in reports:
        for outcome in report.outcomes.values():
            listed[outcome.status][_label(outcome)] = None
    values = {
        _INVOCATIONS: str(len(reports)),
        _REPEATED: str(repeated or ""),
        **{_PROPERTIES[status]: _joined(list(labels)) for status, labels in listed.items()},
    }
    return [(name, value) for name, value in values.items() if value]


def other_properties(properties: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Those that are not ours."""
    ours = {_INVOCATIONS, _REPEATED, *_PROPERTIES.values()}
    return [(name, value) for name, value in properties if name not in ours]


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

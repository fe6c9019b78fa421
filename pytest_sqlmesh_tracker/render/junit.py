"""The properties of a test in a JUnit XML file, with which CI shows its invocations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.printable import name_of
from pytest_sqlmesh_tracker.wording.remarks import Fact

_INVOCATIONS, _REPEATED = "sqlmesh_invocations", "sqlmesh_repeated_tries"
_PROPERTIES: dict[str, str] = {word: f"sqlmesh_{word}" for word in (*Status, *Fact)}
_LIMIT = 1000


def properties(reports: Sequence[RunReport], repeated: int = 0) -> list[tuple[str, str]]:
    """The number of invocations, and for each status the models that had it in any of them;
    likewise for each fact that gates warn about.

    Models are named once, in the order of the reports, with the reason, the audit or the upstream
    model if there is one. A property names as many models as fit into a thousand characters, and
    counts the others.

    Args:
        reports: the reports of the test's last try.
        repeated: the number of earlier tries.
    """
    labels: dict[str, dict[str, None]] = {word: {} for word in (*Status, *Fact)}
    for report in reports:
        for outcome in report.counted:
            labels[outcome.status][_label(outcome, outcome.reason)] = None
            for fact in Fact:
                for occurrence in fact.occurrences(outcome):
                    labels[fact][_label(outcome, occurrence.subject)] = None
    values = {
        _INVOCATIONS: str(len(reports)),
        _REPEATED: str(repeated or ""),
        **{_PROPERTIES[word]: _joined(list(models)) for word, models in labels.items()},
    }
    return [(name, value) for name, value in values.items() if value]


def other_properties(properties: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """The properties that the plugin did not add."""
    ours = {_INVOCATIONS, _REPEATED, *_PROPERTIES.values()}
    return [(name, value) for name, value in properties if name not in ours]


def _label(outcome: ModelOutcome, detail: str | None) -> str:
    name = name_of(outcome.name)
    return f"{name} ({name_of(detail)})" if detail else name


def _joined(labels: list[str]) -> str:
    kept, length = 0, 0
    for label in labels:
        length += len(label) + 2
        if length > _LIMIT and kept:
            break
        kept += 1
    more = f" and {len(labels) - kept} more" if kept < len(labels) else ""
    return ", ".join(labels[:kept]) + more

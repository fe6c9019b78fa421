"""Grouping findings that say the same about many models."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sqlmesh_tracker.gate.findings import GateFinding
from pytest_sqlmesh_tracker.wording.formats import one_line

_FEWEST = 3
"""The least number of findings in a group; fewer are listed one by one."""
_NAMES = 3
"""The number of models that a group names; the others are counted."""
_PLURALS = {"was ": "were ", "is ": "are ", "has ": "have "}


def in_groups(findings: Sequence[GateFinding]) -> list[GateFinding]:
    """The findings in order; those that differ only in the model are merged into one.

    An environment that does not exist, or a plan that SQLMesh refuses, is one problem, however many
    models depend on it: `shop.a, shop.b, shop.c and 268 more were interrupted: ...`.
    """
    groups: dict[object, list[GateFinding]] = {}
    for finding in findings:
        groups.setdefault(_likeness(finding), []).append(finding)
    lines = []
    for finding in findings:
        group = groups[_likeness(finding)]
        if finding.model is None or len(group) < _FEWEST:
            lines.append(finding)
        elif finding is group[0]:
            lines.append(_as_one(group))
    return lines


def _likeness(finding: GateFinding) -> object:
    return finding.report_index, finding.kind, finding.severity, finding.predicate


def _as_one(group: list[GateFinding]) -> GateFinding:
    predicate = group[0].predicate
    for singular, plural in _PLURALS.items():
        if predicate.startswith(singular):
            predicate = plural + predicate.removeprefix(singular)
            break
    names = [one_line(finding.model or "", 120) for finding in group]
    more = len(names) - _NAMES
    listed = (*names[:_NAMES], f"{more:,} more") if more > 0 else names
    who = f"{', '.join(listed[:-1])} and {listed[-1]}"
    return group[0].model_copy(update={"message": f"{who} {predicate}", "model": None})

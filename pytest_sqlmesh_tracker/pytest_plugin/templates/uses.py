"""What the terminal summary says about templates, from all processes of a session."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import pytest

from pytest_sqlmesh_tracker.sandbox.templates.kept.uses import TemplateUse

USES = pytest.StashKey[list[TemplateUse]]()
"""How the templates of a process were made."""
_OUTPUT = "sqlmesh_tracker_templates"
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def hand_over(config: pytest.Config) -> None:
    """Send the uses of a worker of xdist to the process that writes the summary."""
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = json.dumps([asdict(use) for use in config.stash[USES]])


def handed_over(node: object) -> list[TemplateUse]:
    """What a worker has sent; a worker that crashed has not."""
    output = getattr(node, "workeroutput", {})
    return [TemplateUse(**each) for each in json.loads(output.get(_OUTPUT, "[]"))]


def lines(uses: Iterable[TemplateUse], *, verbose: bool) -> Iterator[str]:
    """The lines of the summary.

    Args:
        verbose: whether to say why templates are not kept.
    """
    uses = list(uses)
    planned: dict[str, float] = {}
    for use in uses:
        if use.planned is not None:
            planned[use.project] = min(use.planned, planned.get(use.project, use.planned))
    if planned:
        ages = [f"{name} ({_age(planned[name])} old)" for name in sorted(planned)]
        yield f"sqlmesh: reused the plan of {', '.join(ages)}"
    failures = {(use.project, use.not_restored) for use in uses if use.not_restored}
    for project, reason in sorted(failures):
        yield f"sqlmesh: the kept plan of {project} could not be restored: {reason}"
    if verbose:
        reasons = {(use.project, use.not_kept) for use in uses if use.not_kept}
        for project, reason in sorted(reasons):
            yield f"sqlmesh: the plan of {project} is not kept: {reason}"


def _age(planned: float) -> str:
    seconds = time.time() - planned
    for unit, length in _UNITS:
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"

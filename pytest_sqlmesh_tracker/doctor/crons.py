"""Checks that SQLMesh determines when the models of a project are due."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.project_files import read_project_files
from pytest_sqlmesh_tracker.wording.formats import listed, on_safe_cron

from .diagnosis import Check

_TIMEOUT = 120
"""Seconds in which the project must be loaded."""


def checks(project: ProjectLocation) -> Iterator[Check]:
    """A warning for each cron that SQLMesh does not determine, with the cron that would be safe."""
    files = read_project_files(project, timeout=_TIMEOUT, print_output=lambda _: None)
    if files.unread is not None:
        yield Check("crons", "warning", f"the project's files were not read: {files.unread}")
        return
    models: dict[str, list[str]] = {}
    for node in sorted(files.nodes.values(), key=lambda node: node.name):
        models.setdefault(node.cron, []).append(node.name)
    # It imports SQLMesh, which can be missing when this module is imported.
    from pytest_sqlmesh_tracker.tracking.intervals.crons import is_undetermined, safe_cron

    undetermined = [cron for cron in sorted(models) if is_undetermined(cron)]
    for cron in undetermined:
        detail, runs = _detail(cron, safe_cron(cron)), listed(models[cron])
        yield Check("crons", "warning", detail, f"when SQLMesh runs {runs}")
    if not undetermined:
        yield Check("crons", "ok", "SQLMesh determines when each model of the project is due")


def _detail(cron: str, safe: str | None) -> str:
    advice = f" ({on_safe_cron(safe)})" if safe else ""
    return f"when {cron} is due depends on the SQLMesh process, since its gaps differ{advice}"

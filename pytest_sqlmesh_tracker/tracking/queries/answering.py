"""The process that answers: it opens the project, asks SQLMesh, and ends."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import Any, cast

from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError

from .questions import Answer, DueQuery, LoadedQuery, Query, Reply, Request, UnfinishedPlan

_BUSY = "Could not set lock on file"
"""What DuckDB says of a file that another process has; its exception has no code of its own."""


def answer(context: Any, query: Query[Answer]) -> Answer | UnfinishedPlan:
    """What SQLMesh answers in this process.

    Args:
        context: of SQLMesh; need not have loaded the project.

    Raises:
        ProjectError: the environment is not planned.
    """
    return cast("Answer | UnfinishedPlan", _answer(context, query))


def _answer(context: Any, query: object) -> object:
    # Each imports SQLMesh.
    if isinstance(query, DueQuery):
        from .due import due

        return due(context, query)
    if isinstance(query, LoadedQuery):
        from .loaded import loaded

        return loaded(context, query)
    from .project_files import nodes

    return nodes(context)


def _reply(request: Request) -> Reply:
    from pytest_sqlmesh_tracker.tracking.project.opening import in_one_line, open_context

    project = request.project
    # In SQLMesh's first versions, the state has of signals only from where they are imported.
    sys.path[:0] = project.paths
    try:
        # What was planned is in the state, with the code of its models and signals.
        context = open_context(project, load=False)
        with closing(context), in_one_line(project.paths, "does not answer"):
            return Reply.model_validate({"answer": _answer(context, request.query)})
    except ProjectError as error:
        return Reply(error=str(error), busy=_BUSY in str(error))


def main() -> None:
    """Answer the request on standard input."""
    replies = os.fdopen(os.dup(1), "w")
    # SQLMesh, and the code of signals, print what they like.
    os.dup2(2, 1)
    with replies:
        replies.write(_reply(Request.model_validate_json(sys.stdin.read())).model_dump_json())

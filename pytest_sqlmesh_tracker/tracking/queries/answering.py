"""The answering process, which opens the project, queries SQLMesh, and exits."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import Any, cast

from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError

from .messages import (
    Answer,
    AnswerMessage,
    DueQuery,
    LoadedQuery,
    Query,
    QueryMessage,
    UnfinishedPlan,
    WhyQuery,
)

_BUSY = "Could not set lock on file"
"""DuckDB's message for a file that another process has locked; the exception has no code."""


def answer(context: Any, query: Query[Answer]) -> Answer | UnfinishedPlan:
    """Answer a query in this process.

    Args:
        context: a SQLMesh context, which need not have loaded the project.

    Raises:
        ProjectError: the environment is not planned.
    """
    return cast("Answer | UnfinishedPlan", _answer(context, query))


def _answer(context: Any, query: object) -> object:
    # Each of these modules imports SQLMesh.
    if isinstance(query, DueQuery):
        from .due import due

        return due(context, query)
    if isinstance(query, LoadedQuery):
        from .loaded import loaded

        return loaded(context, query)
    if isinstance(query, WhyQuery):
        from .prediction.why import answer_why

        return answer_why(context, query)
    from .project_files import nodes

    return nodes(context)


def _answer_message(message: QueryMessage) -> AnswerMessage:
    from pytest_sqlmesh_tracker.tracking.project.opening import (
        in_one_line,
        open_context,
        unchanged,
    )

    from .read_only import read_only

    project = message.project
    # In SQLMesh's early versions, the state has only the import paths of signals.
    sys.path[:0] = project.paths
    try:
        # The state has what was planned, with the code of its models and signals.
        adjusted = unchanged if message.query.writes else read_only
        context = open_context(project, load=False, adjusted=adjusted)
        with closing(context), in_one_line(project.paths, "does not answer"):
            return AnswerMessage.model_validate({"answer": _answer(context, message.query)})
    except ProjectError as error:
        return AnswerMessage(error=str(error), busy=_BUSY in str(error))


def main() -> None:
    """Answer the query on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    # SQLMesh and the code of signals can print to standard output.
    os.dup2(2, 1)
    with answers:
        message = QueryMessage.model_validate_json(sys.stdin.read())
        answers.write(_answer_message(message).model_dump_json())

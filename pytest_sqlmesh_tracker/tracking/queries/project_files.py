"""Reads the models in a project's files, in a separate process after SQLMesh's `run`.

SQLMesh's command line runs an environment without reading the project's files
(`SKIP_LOAD_COMMANDS` in sqlmesh/cli/main.py). Only the files show which models were never planned
or were edited since. They are read afterwards, so that they can't change the run or make it fail.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.wording.formats import one_line

from .messages import Nodes, NodesQuery, UnfinishedPlan
from .transport import ask


@dataclass(frozen=True)
class ProjectFiles:
    """What was read from a project's files."""

    nodes: Mapping[str, Any]
    """Fully qualified name → model or standalone audit."""
    folders: tuple[str, ...] = ()
    """The folders of the project."""
    unread: str | None = None
    """Why they were not read."""


def read_project_files(
    project: ProjectLocation, *, timeout: float, print_output: Callable[[str], object]
) -> ProjectFiles:
    """Read the models of a project; an error becomes part of the result.

    Args:
        timeout: the number of seconds after which the process is killed.
        print_output: called with what the project's code prints.
    """

    def received() -> ProjectFiles:
        answer = ask(project, NodesQuery(), timeout=timeout, print_output=print_output)
        if isinstance(answer, UnfinishedPlan):
            raise ProjectError("the project's files do not depend on a plan")
        # Pickled by our own process, just as SQLMesh pickles its `.cache`.
        return ProjectFiles(pickle.loads(base64.b64decode(answer.pickled)), answer.folders)

    return _read(received)


def load_project_files(context: Any) -> ProjectFiles:
    """Load the project into a context of this process; an error becomes part of the result.

    Neither the state nor the warehouse is read.
    """
    return _read(lambda: _loaded(context))


def nodes(context: Any) -> Nodes:
    """Load the project into a context, and return its models and standalone audits.

    Neither the state nor the warehouse is read.
    """
    files = _loaded(context)
    pickled = base64.b64encode(pickle.dumps(files.nodes)).decode()
    return Nodes(pickled=pickled, folders=files.folders)


def _read(files: Callable[[], ProjectFiles]) -> ProjectFiles:
    try:
        return files()
    except ProjectError as error:
        return ProjectFiles({}, unread=one_line(str(error), 600))
    except KeyboardInterrupt:
        return ProjectFiles({}, unread="the command was stopped while reading them")
    except (Exception, SystemExit) as error:
        # The project's own code runs; also to unpickle its classes.
        return ProjectFiles({}, unread=one_line(f"{type(error).__name__}: {error}", 600))


def _loaded(context: Any) -> ProjectFiles:
    from pytest_sqlmesh_tracker.tracking.project.nodes import project_folders, project_nodes
    from pytest_sqlmesh_tracker.tracking.project.opening import load_files

    load_files(context)
    return ProjectFiles(project_nodes(context), project_folders(context))

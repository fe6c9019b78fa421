"""Opens a SQLMesh project as SQLMesh's command line does, and reports errors in one line."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmesh import Context
from sqlmesh.core.config import Config, load_configs
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.models.config_files import no_project_in
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.wording.formats import one_line

from .location import ProjectLocation


def unchanged(config: Config) -> Config:
    """The configuration itself."""
    return config


def open_context(
    project: ProjectLocation,
    *,
    load: bool = True,
    adjusted: Callable[[Config], Config] = unchanged,
) -> Context:
    """A context as SQLMesh's command line creates it, without its console and logging.

    As there, `SQLMESH_GATEWAY` and `SQLMESH_DOTENV_PATH` are used if the location has no gateway or
    `.env` file, and the variables of a `.env` file are added to this process's environment.

    Args:
        project: the location; its folders can be globs.
        load: whether to load the project's models; if `project` is configured, SQLMesh then reads
            its state.
        adjusted: takes the configuration of each folder, and returns the one to use.

    Raises:
        ProjectError: the context can't be created.
    """
    gateway = project.gateway or os.environ.get("SQLMESH_GATEWAY") or None
    dotenv = project.dotenv or os.environ.get("SQLMESH_DOTENV_PATH")
    with in_one_line(project.paths):
        folders = _folders(project.paths)
        if dotenv and not Path(dotenv).is_file():
            raise ProjectError(f"the dotenv file {dotenv} does not exist")
        configs = load_configs(
            project.config,
            Context.CONFIG_TYPE,
            folders,
            dotenv_path=Path(dotenv) if dotenv else None,
        )
        configs = {folder: adjusted(config) for folder, config in configs.items()}
        context = Context(config=configs, gateway=gateway, load=load)
        if load:
            check_models(context, project.paths)
        return context


def _folders(paths: Sequence[str]) -> list[Path]:
    folders = expanded(paths)
    if not folders:
        raise ProjectError("a SQLMesh project must have at least one folder")
    for folder in folders:
        complaint = no_project_in(folder)
        if complaint:
            raise ProjectError(complaint)
    return folders


def expanded(paths: Sequence[str]) -> list[Path]:
    """The folders that paths and globs match; a glob without a match stays as it is."""
    # As in SQLMesh, globs can be absolute, which `Path.glob` does not support.
    return [Path(folder) for path in paths for folder in glob.glob(path) or [path]]  # noqa: PTH207


def load_files(context: Any) -> None:
    """Load the project without the state, from which SQLMesh reads other projects' models."""
    projects, context._projects = context._projects, set()
    try:
        context.load()
    finally:
        context._projects = projects


def check_models(context: Any, paths: Sequence[str]) -> None:
    """Check that the project has models.

    Raises:
        ProjectError: it has none.
    """
    if not context.models:
        raise ProjectError(f"the SQLMesh project {', '.join(paths)} has no models")


@contextmanager
def in_one_line(paths: Sequence[str], what: str = "can't be loaded") -> Iterator[None]:
    """Turn what SQLMesh or the project's code raises into a one-line `ProjectError`.

    Args:
        what: the predicate of the message, whose subject is the project.
    """
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, SQLMeshError) else f"{type(error).__name__}: "
        words = redacted(f"{kind}{error}")
        names = ", ".join(paths)
        line = one_line(f"the SQLMesh project {names} {what}: {words}", 600)
        # Users need only the message, not pages of SQLMesh's frames.
        raise ProjectError(line) from None

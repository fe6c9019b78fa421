"""Opening a SQLMesh project as SQLMesh's command line does; what is wrong with it in one line."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmesh import Context
from sqlmesh.core.config import load_configs
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.models.config_files import CONFIG_FILES
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.wording.formats import one_line

from .location import ProjectLocation


def open_context(project: ProjectLocation, *, load: bool = True) -> Context:
    """A context as SQLMesh's command line makes it, without its console and logging.

    As there, `SQLMESH_GATEWAY` and `SQLMESH_DOTENV_PATH` stand in for a gateway and a file that the
    location does not name, and the variables of a `.env` file come into this process's environment.

    Args:
        project: where it is; its folders can be globs.
        load: read the project's models; with `project` configured, SQLMesh then reads its state.

    Raises:
        ProjectError: it can't be made.
    """
    gateway = project.gateway or os.environ.get("SQLMESH_GATEWAY") or None
    dotenv = project.dotenv or os.environ.get("SQLMESH_DOTENV_PATH")
    with in_one_line(project.paths):
        folders = _folders(project.paths)
        if dotenv and not Path(dotenv).is_file():
            raise ProjectError(f"there is no file {dotenv}, which was to be used as .env")
        configs = load_configs(
            project.config,
            Context.CONFIG_TYPE,
            folders,
            dotenv_path=Path(dotenv) if dotenv else None,
        )
        context = Context(config=configs, gateway=gateway, load=load)
        if load:
            check_models(context, project.paths)
        return context


def _folders(paths: Sequence[str]) -> list[Path]:
    folders = expanded(paths)
    if not folders:
        raise ProjectError("no folder of a SQLMesh project was named")
    for folder in folders:
        if not folder.is_dir():
            raise ProjectError(f"no SQLMesh project in {folder}: there is no such folder")
        if not any((folder / name).is_file() for name in CONFIG_FILES):
            names = ", ".join(CONFIG_FILES)
            raise ProjectError(f"no SQLMesh project in {folder}: it has none of {names}")
    return folders


def expanded(paths: Sequence[str]) -> list[Path]:
    """The folders that paths and globs lead to; a glob without a match stands for itself."""
    # As SQLMesh finds them: also absolute ones, for which `Path.glob` is not made.
    return [Path(folder) for path in paths for folder in glob.glob(path) or [path]]  # noqa: PTH207


def load_files(context: Any) -> None:
    """Load the project without the state, which SQLMesh asks for the models of other projects."""
    projects, context._projects = context._projects, set()
    try:
        context.load()
    finally:
        context._projects = projects


def check_models(context: Any, paths: Sequence[str]) -> None:
    """Demand that there are models.

    Raises:
        ProjectError: there are none.
    """
    if not context.models:
        raise ProjectError(f"the SQLMesh project {', '.join(paths)} has no models")


@contextmanager
def in_one_line(paths: Sequence[str], what: str = "can't be loaded") -> Iterator[None]:
    """Say in one line of what SQLMesh, or the project's own code, raises where it comes from.

    Args:
        what: of the project, in words.
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
        # What it says is all that concerns a user; pages of SQLMesh's own frames do not.
        raise ProjectError(line) from None

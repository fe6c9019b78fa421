"""The SQLMesh project of assets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import dagster as dg
from pydantic import Field, PrivateAttr

from pytest_sqlmesh_tracker.models.definitions import ProjectDefinition
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.messages import Answer, Query, UnfinishedPlan

Folder = str | os.PathLike[str]
Folders = Folder | Sequence[Folder]
"""A folder, or several."""


class SqlmeshProject(dg.Config):
    """A SQLMesh project: its folder or folders, and how it is opened.

    The models are loaded once, on first use; that opens neither the warehouse nor SQLMesh's state.
    """

    paths: list[str] = Field(description="The project's folders, absolute.")
    gateway: Optional[str] = Field(  # noqa: UP045 - Dagster reads the annotation
        default=None, description="The gateway to use, if not the default one."
    )
    config: Optional[str] = Field(  # noqa: UP045
        default=None, description="The name of a configuration in config.py."
    )
    dotenv: Optional[str] = Field(  # noqa: UP045
        default=None, description="A file with environment variables to load."
    )

    _definition: ProjectDefinition | None = PrivateAttr(default=None)

    def __init__(
        self,
        *folders: Folders,
        paths: Folders = (),
        gateway: str | None = None,
        config: str | None = None,
        dotenv: str | os.PathLike[str] | None = None,
    ) -> None:
        """Name a project. Nothing is read yet.

        Args:
            folders: the project's folders, relative to the current folder.
            paths: the same as a keyword.
            gateway: the gateway to use, as in SQLMesh's option `--gateway`.
            config: the name of a configuration in `config.py`, as in SQLMesh's option `--config`.
            dotenv: a file of environment variables, as in SQLMesh's option `--dotenv`.
        """
        all_folders = [folder for each in (*folders, paths) for folder in _listed(each)]
        if not all_folders:
            raise TypeError("SqlmeshProject requires the project's folder")
        super().__init__(
            paths=[_absolute(folder) for folder in all_folders],
            gateway=gateway,
            config=config,
            dotenv=_absolute(dotenv) if dotenv else None,
        )

    @property
    def definition(self) -> ProjectDefinition:
        """What the project's files define.

        Raises:
            ProjectError: the project does not exist or can't be loaded; the message is one line.
        """
        if self._definition is None:
            from pytest_sqlmesh_tracker.tracking.project.defining import load_definition

            object.__setattr__(self, "_definition", load_definition(self.location))
        assert self._definition is not None
        return self._definition

    def with_definition(self, definition: ProjectDefinition | None) -> SqlmeshProject:
        """The same project with this definition; with None, its models are loaded again."""
        copy = self.model_copy()
        object.__setattr__(copy, "_definition", definition)
        return copy

    @property
    def location(self) -> ProjectLocation:
        """Where the project is, and how it is opened."""
        return ProjectLocation(self.paths, self.gateway, self.config, self.dotenv)

    def open_context(self) -> Any:
        """A new SQLMesh `Context` of the project, which the caller must close.

        Raises:
            ProjectError: the project does not exist or can't be loaded; the message is one line.
        """
        from pytest_sqlmesh_tracker.tracking.project.opening import open_context

        return open_context(self.location)

    def ask(self, query: Query[Answer], *, timeout: float) -> Answer | UnfinishedPlan:
        """Let SQLMesh answer a query in a process of its own, so that this one does not load it.

        Args:
            query: the query.
            timeout: the number of seconds to wait for the answer.

        Raises:
            BusyError: another process has the database open.
            ProjectError: the project does not exist, or does not answer; the message is one line.
        """
        from pytest_sqlmesh_tracker.tracking.queries.transport import ask

        return ask(self.location, query, timeout=timeout)


def _listed(folders: Folders) -> Sequence[Folder]:
    return [folders] if isinstance(folders, str | os.PathLike) else folders


def _absolute(path: str | os.PathLike[str]) -> str:
    return str(Path(path).expanduser().absolute())

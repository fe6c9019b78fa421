"""Which SQLMesh project assets are of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import dagster as dg
from pydantic import Field, PrivateAttr

from pytest_sqlmesh_tracker.models.definitions import ProjectDefinition

Folder = str | os.PathLike[str]
Folders = Folder | Sequence[Folder]
"""A folder, or several."""


class SqlmeshProject(dg.Config):
    """A SQLMesh project: its folder, or several that are one project, and how it is opened.

    Its models are loaded when they are first asked for, and once; neither the warehouse nor
    SQLMesh's state is opened for that.
    """

    paths: list[str] = Field(description="The project's folders, absolute.")
    gateway: Optional[str] = Field(  # noqa: UP045 - Dagster reads the annotation
        default=None, description="The gateway to use, if not the default one."
    )
    config: Optional[str] = Field(  # noqa: UP045
        default=None, description="The name of a configuration in config.py."
    )
    dotenv: Optional[str] = Field(  # noqa: UP045
        default=None, description="A file of environment variables to load."
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
        """Name a project; nothing is read yet.

        Args:
            folders: one, several, or a list; relative ones are those of the current folder.
            paths: the same, by keyword.
            gateway: as SQLMesh's command line has it, and so `config` and `dotenv`.
        """
        each = [folder for given in (*folders, paths) for folder in _listed(given)]
        if not each:
            raise TypeError("a SqlmeshProject needs the folder of the project")
        super().__init__(
            paths=[_absolute(folder) for folder in each],
            gateway=gateway,
            config=config,
            dotenv=_absolute(dotenv) if dotenv else None,
        )

    @property
    def definition(self) -> ProjectDefinition:
        """What is known of the project before anything runs.

        Raises:
            ProjectError: there is no project, or it can't be loaded; one line says why.
        """
        if self._definition is None:
            from pytest_sqlmesh_tracker.tracking.project.defining import load_definition

            object.__setattr__(self, "_definition", load_definition(self.paths, **self._settings))
        assert self._definition is not None
        return self._definition

    def with_definition(self, definition: ProjectDefinition | None) -> SqlmeshProject:
        """The same project, of which this is known; with None, its models are loaded anew."""
        known = self.model_copy()
        object.__setattr__(known, "_definition", definition)
        return known

    @property
    def _settings(self) -> dict[str, Any]:
        return {"gateway": self.gateway, "config": self.config, "dotenv": self.dotenv}

    def open_context(self) -> Any:
        """A new SQLMesh `Context` on the project; to be closed.

        Raises:
            ProjectError: there is no project, or it can't be loaded; one line says why.
        """
        from pytest_sqlmesh_tracker.tracking.project.opening import open_context

        return open_context(self.paths, **self._settings)

    def ask(self, question: str, *, timeout: float, **arguments: Any) -> Any:
        """What SQLMesh answers in a process of its own: nothing of it is loaded in this one.

        Args:
            timeout: seconds after which there is no answer.

        Raises:
            BusyError: another process has the database.
            ProjectError: there is no project, or no answer; one line says why.
        """
        from pytest_sqlmesh_tracker.tracking.queries.process import answer_of_process

        return answer_of_process(self.paths, self._settings, question, arguments, timeout=timeout)


def _listed(folders: Folders) -> Sequence[Folder]:
    return [folders] if isinstance(folders, str | os.PathLike) else folders


def _absolute(path: str | os.PathLike[str]) -> str:
    return str(Path(path).expanduser().absolute())

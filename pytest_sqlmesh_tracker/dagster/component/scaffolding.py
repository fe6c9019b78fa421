"""`dg scaffold defs`: the YAML of a component for a SQLMesh project that is there."""

from __future__ import annotations

import os
from pathlib import Path

import click
import dagster as dg
from dagster.components import scaffold_component
from pydantic import BaseModel, Field

from pytest_sqlmesh_tracker.models.config_files import no_project_in


class SqlmeshScaffoldParams(BaseModel):
    """Options of `dg scaffold defs`."""

    project_path: str | None = Field(
        default=None,
        description="The folder of the SQLMesh project, relative to the current folder.",
    )


class SqlmeshProjectScaffolder(dg.Scaffolder[SqlmeshScaffoldParams]):
    """Writes the YAML of a `SqlmeshProjectComponent`."""

    @classmethod
    def get_scaffold_params(cls) -> type[SqlmeshScaffoldParams]:
        """The class of the options."""
        return SqlmeshScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[SqlmeshScaffoldParams]) -> None:
        """Write the YAML.

        Raises:
            UsageError: there is no SQLMesh project in the folder.
        """
        path = request.params.project_path
        complaint = no_project_in(Path(path)) if path else ""
        if complaint:
            raise click.UsageError(complaint)
        folder = path and Path(os.path.relpath(path, request.target_path)).as_posix()
        scaffold_component(request, {"project": folder})

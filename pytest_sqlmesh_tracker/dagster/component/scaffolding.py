"""`dg scaffold defs`: the YAML of a component for a SQLMesh project that is there."""

from __future__ import annotations

import os
from pathlib import Path

import click
import dagster as dg
from dagster.components import scaffold_component
from pydantic import BaseModel, Field

from pytest_sqlmesh_tracker.models.config_files import CONFIG_FILES


class SqlmeshScaffoldParams(BaseModel):
    """Options of `dg scaffold defs`."""

    project_path: str | None = Field(
        default=None, description="The folder of the SQLMesh project, from the current one."
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
        if path and not any((Path(path) / name).is_file() for name in CONFIG_FILES):
            names = ", ".join(CONFIG_FILES)
            raise click.UsageError(f"no SQLMesh project in {path}: it has none of {names}")
        folder = path and Path(os.path.relpath(path, request.target_path)).as_posix()
        scaffold_component(request, {"project": folder})

"""The project that a command is about, from the options before and after the command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pytest_sqlmesh_tracker.models.config_files import CONFIG_FILES
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation


def project_of(ctx: click.Context, options: Mapping[str, Any]) -> ProjectLocation:
    """The location of the project, independent of the working directory, which a model can change.

    Args:
        ctx: the context of the command.
        options: its values of `options.location`, which take precedence.
    """
    everywhere = ctx.find_root().params
    paths = (*everywhere["paths"], *options["paths"])
    return ProjectLocation(
        paths=[str(Path(path).absolute()) for path in paths or (".",)],
        **{name: options[name] or everywhere[name] for name in ("gateway", "config", "dotenv")},
        folder=str(Path.cwd()),
    )


def project_if_any(ctx: click.Context, options: Mapping[str, Any]) -> ProjectLocation | None:
    """The project of the options, or that of the current folder, if it has one."""
    named = (*ctx.find_root().params["paths"], *options["paths"])
    if not named and not any(Path(file).is_file() for file in CONFIG_FILES):
        return None
    return project_of(ctx, options)

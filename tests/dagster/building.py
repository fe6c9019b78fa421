"""Assets and projects shared by many tests: functions that plan and run, hourly models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets
from tests.projects import ONE_AND_FOUR, Project


def planning(project: SqlmeshProject, **arguments: Any) -> dg.AssetsDefinition:
    """The project's assets, in a function called `warehouse` that plans with these arguments."""

    @sqlmesh_assets(project=project)
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        yield from sqlmesh.plan(context=context, **arguments).stream()

    return warehouse


def running(project: SqlmeshProject, **arguments: Any) -> dg.AssetsDefinition:
    """The project's assets, in a function called `warehouse` that runs with these arguments."""

    @sqlmesh_assets(project=project)
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        yield from sqlmesh.run(context=context, **arguments).stream()

    return warehouse


def configured(**config: Any) -> dict[str, Any]:
    """The run config of a function called `warehouse`."""
    return {"ops": {"warehouse": {"config": config}}}


def hourly_models(folder: Path, queries: dict[str, str], external: str = "") -> Path:
    """Write a project whose models are due each hour.

    Args:
        queries: the name of each model → its query.
        external: its external models, in YAML.
    """
    project = Project(folder)
    project.write("config.yaml", ONE_AND_FOUR)
    if external:
        project.write("external_models.yaml", external)
    for name, query in queries.items():
        project.model(name, query, cron="'@hourly'")
    return project.path

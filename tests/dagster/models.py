"""Projects without files: what a test does not say of a model is filled in."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import ModelDefinition, SqlmeshProject
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.models.definitions import AuditDefinition, ProjectDefinition


def model(name: str, *upstream: str, **facts: Any) -> ModelDefinition:
    """A daily model that reads these."""
    parts = tuple(name.split("."))
    fqn = ".".join(f'"{part}"' for part in ("wh", *parts))
    filled = {"parts": parts, "fqn": fqn, "kind": "full", "cron": "@daily", "version": "1"}
    return ModelDefinition(name=name, upstream=upstream, **{**filled, **facts})


def audit(name: str, blocking: bool = True, **arguments: str) -> AuditDefinition:
    """An audit, called with these."""
    return AuditDefinition(name=name, arguments=arguments, blocking=blocking)


def project(
    *models: ModelDefinition, name: str = "shop", outside: dict[str, tuple[str, ...]] | None = None
) -> SqlmeshProject:
    """A project that has these models, and reads these tables."""
    loaded = SqlmeshProject("a_folder_that_is_not_read")
    definition = ProjectDefinition(name=name, models=models, outside=outside or {})
    object.__setattr__(loaded, "_definition", definition)
    return loaded


def assets(*models: ModelDefinition, **arguments: Any) -> ProjectAssets:
    """The assets of a project that has these models."""
    return ProjectAssets(project=project(*models).definition, environment="prod", **arguments)


def load(*definitions: dg.AssetsDefinition) -> dg.Definitions:
    """Load them as a code location does, and let Dagster validate them."""
    from pytest_sqlmesh_tracker.dagster import SqlmeshResource

    resource = SqlmeshResource(project=SqlmeshProject("a_folder_that_is_not_read"))
    loaded = dg.Definitions(assets=definitions, resources={"sqlmesh": resource})
    dg.Definitions.validate_loadable(loaded)
    return loaded

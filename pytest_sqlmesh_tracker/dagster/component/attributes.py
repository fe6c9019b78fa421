"""The attributes of a component's YAML, and the objects that they become."""

# Dagster reads the annotations: they can't be the texts of `from __future__ import annotations`.
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import dagster as dg

from pytest_sqlmesh_tracker.dagster.project import SqlmeshProject
from pytest_sqlmesh_tracker.dagster.running.invocation import Limits


@dataclass
class ProjectSettings(dg.Resolvable):
    """The attribute `project`, if it is more than a folder."""

    paths: Annotated[
        str | list[str],
        dg.Resolver.default(
            description="The project's folder, or several that form one project; relative paths "
            "start from this file's folder."
        ),
    ]
    gateway: Annotated[
        str | None, dg.Resolver.default(description="The gateway, if not the default one.")
    ] = None
    config: Annotated[
        str | None, dg.Resolver.default(description="The name of a configuration in config.py.")
    ] = None
    dotenv: Annotated[
        str | None, dg.Resolver.default(description="A file with environment variables to load.")
    ] = None


def resolved_project(context: dg.ResolutionContext, model: Any) -> SqlmeshProject:
    """The project of a folder, or of `ProjectSettings`."""
    settings = (
        ProjectSettings(paths=model)
        if isinstance(model, str)
        else ProjectSettings.resolve_from_model(context, model)
    )
    folders = [settings.paths] if isinstance(settings.paths, str) else settings.paths
    return SqlmeshProject(
        paths=[context.resolve_source_relative_path(folder) for folder in folders],
        gateway=settings.gateway,
        config=settings.config,
        dotenv=context.resolve_source_relative_path(settings.dotenv) if settings.dotenv else None,
    )


@dataclass
class RetrySettings(dg.Resolvable):
    """The arguments of Dagster's `RetryPolicy`."""

    max_retries: int = 1
    delay: Annotated[
        float | None, dg.Resolver.default(description="Seconds before each retry.")
    ] = None
    backoff: Literal["LINEAR", "EXPONENTIAL"] | None = None
    jitter: Literal["FULL", "PLUS_MINUS"] | None = None


def _resolved_retry_policy(context: dg.ResolutionContext, model: Any) -> dg.RetryPolicy:
    settings = RetrySettings.resolve_from_model(context, model)
    return dg.RetryPolicy(
        max_retries=settings.max_retries,
        delay=settings.delay,
        backoff=dg.Backoff(settings.backoff) if settings.backoff else None,
        jitter=dg.Jitter(settings.jitter) if settings.jitter else None,
    )


@dataclass
class OpSettings(dg.Resolvable):
    """The attribute `op`: how Dagster runs SQLMesh."""

    name: Annotated[
        str | None,
        dg.Resolver.default(
            description="By default, made from the project, the environment and the selection."
        ),
    ] = None
    description: str | None = None
    tags: dict[str, Any] | None = None
    pool: Annotated[
        str | None,
        dg.Resolver.default(
            description="By default `sqlmesh/<project>/<environment>`. With a limit of 1, runs of "
            "one environment do not overlap."
        ),
    ] = None
    retry_policy: Annotated[
        dg.RetryPolicy | None,
        dg.Resolver(
            _resolved_retry_policy,
            model_field_type=RetrySettings.model(),
            description="A retry runs what failed or was blocked, not what was executed before.",
            examples=[{"max_retries": 2, "delay": 60}],
        ),
    ] = None
    longest_wait: Annotated[
        float | None,
        dg.Resolver.default(
            description="Seconds to wait while a plan of the environment is not finished. By "
            "default, as configured in SQLMesh."
        ),
    ] = None
    drain_timeout: Annotated[
        float | None,
        dg.Resolver.default(
            description="Seconds that an interrupted step waits for batches in progress."
        ),
    ] = Limits.drain_timeout
    report: Annotated[
        str | None,
        dg.Resolver.default(
            description="A history to which the report of each step is appended: the path of a "
            ".duckdb file, relative to the current folder."
        ),
    ] = None


@dataclass
class ScheduleSettings(dg.Resolvable):
    """The attribute `schedule`: when to run what is due."""

    cron_schedule: str
    name: str | None = None
    execution_timezone: Annotated[
        str | None, dg.Resolver.default(description="The IANA name; by default UTC.")
    ] = None

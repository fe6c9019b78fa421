"""What a component's YAML can say, and what it becomes."""

# Dagster reads the annotations: they can't be the texts of `from __future__ import annotations`.
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import dagster as dg

from pytest_sqlmesh_tracker.dagster.project import SqlmeshProject
from pytest_sqlmesh_tracker.dagster.running.invocation import Limits


@dataclass
class ProjectSettings(dg.Resolvable):
    """The attribute `project`, where a folder does not say it all."""

    paths: Annotated[
        str | list[str],
        dg.Resolver.default(
            description="The project's folder, or several that are one project; relative ones are "
            "those of this file's folder."
        ),
    ]
    gateway: Annotated[
        str | None, dg.Resolver.default(description="The gateway, if not the default one.")
    ] = None
    config: Annotated[
        str | None, dg.Resolver.default(description="The name of a configuration in config.py.")
    ] = None
    dotenv: Annotated[
        str | None, dg.Resolver.default(description="A file of environment variables to load.")
    ] = None


def resolved_project(context: dg.ResolutionContext, model: Any) -> SqlmeshProject:
    """The project of a folder, or of `ProjectSettings`."""
    said = (
        ProjectSettings(paths=model)
        if isinstance(model, str)
        else ProjectSettings.resolve_from_model(context, model)
    )
    folders = [said.paths] if isinstance(said.paths, str) else said.paths
    return SqlmeshProject(
        paths=[context.resolve_source_relative_path(folder) for folder in folders],
        gateway=said.gateway,
        config=said.config,
        dotenv=context.resolve_source_relative_path(said.dotenv) if said.dotenv else None,
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
    said = RetrySettings.resolve_from_model(context, model)
    return dg.RetryPolicy(
        max_retries=said.max_retries,
        delay=said.delay,
        backoff=dg.Backoff(said.backoff) if said.backoff else None,
        jitter=dg.Jitter(said.jitter) if said.jitter else None,
    )


@dataclass
class OpSettings(dg.Resolvable):
    """The attribute `op`: how Dagster runs SQLMesh."""

    name: Annotated[
        str | None,
        dg.Resolver.default(
            description="After the project, the environment and the selection, if not given."
        ),
    ] = None
    description: str | None = None
    tags: dict[str, Any] | None = None
    pool: Annotated[
        str | None,
        dg.Resolver.default(
            description="`sqlmesh/<project>/<environment>`, if not given. With a limit of 1, no "
            "two runs of one environment meet."
        ),
    ] = None
    retry_policy: Annotated[
        dg.RetryPolicy | None,
        dg.Resolver(
            _resolved_retry_policy,
            model_field_type=RetrySettings.model(),
            description="A retry runs what failed or was blocked, not what executed before.",
            examples=[{"max_retries": 2, "delay": 60}],
        ),
    ] = None
    longest_wait: Annotated[
        float | None,
        dg.Resolver.default(
            description="Seconds for which a run waits while a plan of its environment is not "
            "finished. As SQLMesh is configured, if not given."
        ),
    ] = None
    drain_timeout: Annotated[
        float | None,
        dg.Resolver.default(
            description="Seconds for which a step that is to end waits for the batches under way."
        ),
    ] = Limits.drain_timeout


@dataclass
class ScheduleSettings(dg.Resolvable):
    """The attribute `schedule`: ticks at which what is due is run."""

    cron_schedule: str
    name: str | None = None
    execution_timezone: Annotated[
        str | None, dg.Resolver.default(description="The IANA name; UTC, if not given.")
    ] = None

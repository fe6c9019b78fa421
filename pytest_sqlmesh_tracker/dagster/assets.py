"""`@sqlmesh_assets` and `build_sqlmesh_assets`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import joined, not_reserved
from pytest_sqlmesh_tracker.dagster.definitions.ops import run_by
from pytest_sqlmesh_tracker.dagster.definitions.selection import listed
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.dagster.definitions.translator import SqlmeshTranslator
from pytest_sqlmesh_tracker.models.definitions import ProjectDefinition

from .project import SqlmeshProject
from .resource import SqlmeshResource

_RUN_CONFIG = {
    "ignore_cron": dg.Field(
        bool, default_value=False, description="Evaluate what is missing, whether or not it is due."
    ),
    "start": dg.Field(str, is_required=False, description="Evaluate from this time on."),
    "end": dg.Field(str, is_required=False, description="Evaluate until this time."),
    "restate": dg.Field(
        [str],
        default_value=[],
        description="Models to evaluate anew, with all that is downstream of them.",
    ),
}
"""What a run of the assets can be asked for."""


def sqlmesh_assets(
    *,
    project: SqlmeshProject,
    environment: str = "prod",
    select: str | Sequence[str] = "*",
    exclude: str | Sequence[str] | None = None,
    name: str | None = None,
    translator: SqlmeshTranslator | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make assets of a SQLMesh project's models. The decorated function runs them, in one op.

    Args:
        project: the SQLMesh project.
        environment: the SQLMesh environment that the function runs or plans. It is not part of the
            assets' keys: two environments in one `Definitions` need translators with other keys.
        select: the models that become assets: names, globs, or `tag:` and a tag, one or a list. A
            `+` before or after it adds what is upstream or downstream.
        exclude: the models that do not become assets, in the same form.
        name: the op's name; None means the name of the function.
        translator: determines the names and metadata of the assets.
        retry_policy: a retry runs the models that failed or were blocked, not those that executed.
        pool: the pool whose limit keeps runs apart; None means `sqlmesh/<project>/<environment>`.
        op_tags: tags of the op.

    Raises:
        ProjectError: the project does not exist or can't be loaded; the message is one line.
        UnknownModelError: a selector matches no model.
        DagsterInvalidDefinitionError: two models have the same name in Dagster.
    """
    assets = ProjectAssets(
        project=_definition(project),
        environment=environment,
        translator=translator or SqlmeshTranslator(),
        select=select,
        exclude=exclude,
    )

    def decorated(function: Callable[..., Any]) -> dg.AssetsDefinition:
        # A function's own `config` decides by itself what a run can be asked for.
        own_config = "config" in inspect.signature(function).parameters
        make = dg.multi_asset(
            name=name or function.__name__,
            specs=assets.specs,
            check_specs=assets.check_specs,
            # Only with it may checks that were not evaluated be left out.
            can_subset=True,
            config_schema=None if own_config else _RUN_CONFIG,
            retry_policy=retry_policy,
            pool=pool or assets.translator.get_pool(assets.project.name, environment),
            op_tags=op_tags,
        )
        return make(run_by(assets, function, run_config=not own_config))

    return decorated


def build_sqlmesh_assets(
    *,
    project: SqlmeshProject,
    environment: str = "prod",
    select: str | Sequence[str] = "*",
    exclude: str | Sequence[str] | None = None,
    name: str | None = None,
    translator: SqlmeshTranslator | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """Make assets as `sqlmesh_assets` does, with a function that runs the environment.

    The assets require a `SqlmeshResource` under the key `sqlmesh`. The default name of the op
    consists of the project, the environment and the selection. The other arguments and the
    exceptions are those of `sqlmesh_assets`.
    """
    decorate = sqlmesh_assets(
        project=project,
        environment=environment,
        select=select,
        exclude=exclude,
        name=name or op_name(_definition(project).name, environment, select, exclude),
        translator=translator,
        retry_policy=retry_policy,
        pool=pool,
        op_tags=op_tags,
    )

    def run(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        yield from sqlmesh.run(context=context).stream()

    return decorate(run)


def _definition(project: SqlmeshProject) -> ProjectDefinition:
    if not isinstance(project, SqlmeshProject):
        raise TypeError(f"project is a SqlmeshProject, not {project!r}")
    return project.definition


def op_name(
    project: str,
    environment: str,
    select: str | Sequence[str],
    exclude: str | Sequence[str] | None,
) -> str:
    """What an op is called whose function has no name of its own."""
    selected = [] if select == "*" else listed(select)
    left_out = ["without", *listed(exclude)] if exclude else []
    return not_reserved(joined([project, environment, *selected, *left_out]))

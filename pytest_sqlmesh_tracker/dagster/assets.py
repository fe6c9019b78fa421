"""`@sqlmesh_assets` and `build_sqlmesh_assets`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import joined, not_reserved
from pytest_sqlmesh_tracker.dagster.definitions.ops import with_assets
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
    "start": dg.Field(str, is_required=False, description="Evaluate from this time."),
    "end": dg.Field(str, is_required=False, description="Evaluate until this time."),
    "restate": dg.Field(
        [str],
        default_value=[],
        description="Models to restate, with everything downstream of them.",
    ),
}
"""The options of a run of the assets."""
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


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
        # A function that has a parameter `config` defines the op's config itself.
        own_config = "config" in inspect.signature(function).parameters
        make = dg.multi_asset(
            name=name or function.__name__,
            specs=assets.specs,
            check_specs=assets.check_specs,
            # Without it, Dagster requires an evaluation of every check.
            can_subset=True,
            config_schema=None if own_config else _RUN_CONFIG,
            retry_policy=retry_policy,
            pool=pool or assets.translator.get_pool(assets.project.name, environment),
            op_tags=op_tags,
        )
        return make(with_assets(assets, function, run_config=not own_config))

    return decorated


def _with_parameters_of(
    source: Callable[_Parameters, object],
) -> Callable[[Callable[..., _Result]], Callable[_Parameters, _Result]]:
    """Give a function the signature of another one, and pass it all arguments by name."""
    signature = inspect.signature(source)

    def decorated(function: Callable[..., _Result]) -> Callable[_Parameters, _Result]:
        @wraps(function)
        def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}(): {error}") from None
            bound.apply_defaults()
            return function(**bound.arguments)

        returned = inspect.signature(function).return_annotation
        call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorated


@_with_parameters_of(sqlmesh_assets)
def build_sqlmesh_assets(**arguments: Any) -> dg.AssetsDefinition:
    """The assets of `sqlmesh_assets` with a function that runs the environment.

    It needs a `SqlmeshResource` under the key `sqlmesh`. It takes the arguments of `sqlmesh_assets`
    and raises the same exceptions. By default, the op is named after the project, the environment
    and the selection.
    """
    project = _definition(arguments["project"]).name
    contents = [arguments[name] for name in ("environment", "select", "exclude")]
    decorate = sqlmesh_assets(
        **{**arguments, "name": arguments["name"] or op_name(project, *contents)}
    )

    def run(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        yield from sqlmesh.run(context=context).stream()

    return decorate(run)


def _definition(project: SqlmeshProject) -> ProjectDefinition:
    if not isinstance(project, SqlmeshProject):
        raise TypeError(f"project must be a SqlmeshProject, not {project!r}")
    return project.definition


def op_name(
    project: str,
    environment: str,
    select: str | Sequence[str],
    exclude: str | Sequence[str] | None,
) -> str:
    """The default name of an op whose function has no name of its own."""
    selected = [] if select == "*" else listed(select)
    left_out = ["without", *listed(exclude)] if exclude else []
    return not_reserved(joined([project, environment, *selected, *left_out]))

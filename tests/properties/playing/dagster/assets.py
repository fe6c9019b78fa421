"""What is in Dagster: assets of a project as it was at some moment, and plain ones between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshTranslator, sqlmesh_assets
from pytest_sqlmesh_tracker.models.definitions import ProjectDefinition
from pytest_sqlmesh_tracker.tracking.project.defining import define
from tests.properties.drawing.dagster.requests import Between, DagsterRequest
from tests.properties.playing.state import Snapshots

if TYPE_CHECKING:
    from tests.properties.playing.world import World

OP = "warehouse"


@dataclass(frozen=True)
class Deployed:
    """What the assets know of the project: what it was when they were deployed."""

    definition: ProjectDefinition
    local: Snapshots
    """The versions of its models then."""


def deployed(world: World) -> Deployed:
    """The project as it is now."""
    return Deployed(define(world.context), dict(world.context.snapshots))


class Dagster:
    """Dagster over time: what was deployed last, and an instance for each of SQLMesh's
    environments, whose assets have the same keys."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._instances: dict[str, dg.DagsterInstance] = {}
        self._deployed: Deployed | None = None

    def instance(self, environment: str) -> dg.DagsterInstance:
        if environment not in self._instances:
            made = self._open.enter_context(dg.DagsterInstance.ephemeral())
            self._instances[environment] = made
        return self._instances[environment]

    def deployed(self, world: World, request: DagsterRequest) -> Deployed:
        """What is deployed: the project as it is now, if that is requested."""
        if request.deployed or self._deployed is None:
            self._deployed = deployed(world)
        return self._deployed

    def __enter__(self) -> Dagster:
        return self

    def __exit__(self, *exited: object) -> None:
        self._open.close()


class _Waiting(SqlmeshTranslator):
    """Lets models wait for what stands between them."""

    def __init__(self, between: Sequence[Between]) -> None:
        self._between = between

    def get_asset_spec(
        self, model: Any, upstream: Sequence[dg.AssetKey], keys: Mapping[str, dg.AssetKey]
    ) -> dg.AssetSpec:
        more = [key_of_name(each.name) for each in self._between if model.name in each.below]
        return super().get_asset_spec(model, list(dict.fromkeys([*upstream, *more])), keys)


def assets_of(
    world: World,
    known: Deployed,
    environment: str,
    request: DagsterRequest,
    function: Callable[..., Any],
) -> dg.AssetsDefinition:
    """The project's assets, which this function runs."""
    return sqlmesh_assets(
        project=SqlmeshProject(world.path).with_definition(known.definition),
        environment=environment,
        name=OP,
        translator=_Waiting(request.between),
        retry_policy=dg.RetryPolicy(max_retries=1) if request.retries else None,
    )(function)


def between_of(
    request: DagsterRequest, ran: Callable[[dg.AssetKey], None]
) -> list[dg.AssetsDefinition]:
    """The plain assets, which do nothing but say that they run."""

    def made(between: Between) -> dg.AssetsDefinition:
        key = key_of_name(between.name)

        @dg.asset(key=key, deps=[key_of_name(name) for name in between.above])
        def plain() -> None:
            ran(key)

        return plain

    return [made(between) for between in request.between]


def key_of_name(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("."))

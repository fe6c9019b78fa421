"""A SQLMesh project as a component of Dagster: assets that YAML describes."""

# Dagster reads the annotations: they can't be the texts of `from __future__ import annotations`.
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Annotated, Any, ClassVar

import dagster as dg

if not hasattr(dg, "StateBackedComponent"):
    raise ImportError(
        f"SqlmeshProjectComponent requires Dagster 1.12 or newer: {dg.__version__} has no "
        "state-backed components"
    )

from dagster.components import DefsStateConfig, DefsStateConfigArgs, ResolvedDefsStateConfig
from dagster.components.core.context import (
    RESOLUTION_CONTEXT_STASH_KEY,
    ComponentDeclLoadContext,
)
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel

from pytest_sqlmesh_tracker.dagster.assets import op_name, sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.definitions.naming import fitting
from pytest_sqlmesh_tracker.dagster.definitions.translator import SqlmeshTranslator
from pytest_sqlmesh_tracker.dagster.project import SqlmeshProject
from pytest_sqlmesh_tracker.dagster.resource import SqlmeshResource
from pytest_sqlmesh_tracker.models.definitions import ModelDefinition, ProjectDefinition
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError

from .attributes import OpSettings, ProjectSettings, ScheduleSettings, resolved_project
from .scaffolding import SqlmeshProjectScaffolder
from .translation import TranslatedBy

logger = logging.getLogger("pytest_sqlmesh_tracker")
_REMEDY = "refresh it: dg utils refresh-defs-state"
_loading = Lock()
"""Dagster refreshes all components at once; SQLMesh loads one project after the other."""


@dg.scaffold_with(SqlmeshProjectScaffolder)
@dataclass
class SqlmeshProjectComponent(dg.StateBackedComponent, dg.Resolvable):
    """The models of a SQLMesh project as assets, and the op that runs them.

    The component's state has what is known about the models. `dg dev` refreshes it when it starts,
    and `dg utils refresh-defs-state` at any time. Definitions are made from it without SQLMesh.

    A subclass can replace `translator` and `execute`. It requires Dagster 1.12 or newer.
    """

    project: Annotated[
        SqlmeshProject,
        dg.Resolver(
            resolved_project,
            model_field_type=str | ProjectSettings.model(),
            description="The folder of the SQLMesh project, relative to this file's folder; or a "
            "mapping with more settings.",
            examples=["../../warehouse", {"paths": ["../../warehouse"], "gateway": "prod"}],
        ),
    ]
    environment: Annotated[
        str, dg.Resolver.default(description="The SQLMesh environment that the op runs.")
    ] = "prod"
    select: Annotated[
        str | list[str],
        dg.Resolver.default(
            description="The models that become assets: names, globs, or `tag:` followed by a tag; "
            "`+` before or after adds everything upstream or downstream. One selector or a list.",
            examples=["sales.*", ["tag:core", "+finance.revenue"]],
        ),
    ] = "*"
    exclude: Annotated[
        str | list[str] | None,
        dg.Resolver.default(description="The models that do not become assets, in the same form."),
    ] = None
    op: Annotated[
        OpSettings | None,
        dg.Resolver.default(
            description="How Dagster runs SQLMesh: all models are in one op.",
            examples=[{"tags": {"team": "data"}, "retry_policy": {"max_retries": 2}}],
        ),
    ] = None
    schedule: Annotated[
        ScheduleSettings | None,
        dg.Resolver.default(
            description="When to ask SQLMesh which models are due, and run them.",
            examples=[{"cron_schedule": "*/15 * * * *"}],
        ),
    ] = None
    translation: Annotated[
        TranslationFn[ModelDefinition] | None,
        TranslationFnResolver[ModelDefinition](lambda model: {"model": model}),
    ] = None
    """Changes of the assets' specs, which are made after the `translator`'s."""
    defs_state: ResolvedDefsStateConfig = field(
        default_factory=DefsStateConfigArgs.local_filesystem
    )

    translator: ClassVar[SqlmeshTranslator] = SqlmeshTranslator()
    """Determines names and metadata of the assets, before YAML's `translation`."""

    @classmethod
    def resolve_from_model(
        cls, context: dg.ResolutionContext, model: BaseModel
    ) -> "SqlmeshProjectComponent":
        """Make the component that YAML describes."""
        component: SqlmeshProjectComponent = super().resolve_from_model(context, model)
        at = context.stash.get(RESOLUTION_CONTEXT_STASH_KEY)
        if at and context.source_position_tree:
            file = Path(context.source_position_tree.position.filename)
            component.place = _place(at, file)
        return component

    @cached_property
    def place(self) -> str:
        """What distinguishes it from other components: its file, else the project's folders."""
        return ", ".join(Path(folder).name for folder in self.project.paths)

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """How Dagster keeps the state."""
        key = f"{SqlmeshProjectComponent.__name__}[{self.place}]"
        return DefsStateConfig.from_args(self.defs_state, default_key=key)

    def write_state_to_path(self, state_path: Path) -> None:
        """Load the SQLMesh project, and write its definition.

        Raises:
            ProjectError: the project does not exist or can't be loaded; the message is one line.
        """
        with self._named_in_errors(), _loading:
            definition = self.project.with_definition(None).definition
        state_path.write_text(self._moved(definition, os.path.relpath).to_json(), encoding="utf-8")

    def build_defs_from_state(
        self,
        context: dg.ComponentLoadContext,  # noqa: ARG002
        state_path: Path | None,
    ) -> dg.Definitions:
        """The assets, their resource, and the schedule. Until state is written, there is one asset
        that says so and can't be materialized.

        Raises:
            DagsterInvalidDefinitionError: the state can't be read, or two models have the same
                name in Dagster.
            UnknownModelError: a selector matches nothing.
        """
        if state_path is None:
            return self._without_state()
        with self._named_in_errors():
            return self._definitions(self.project.with_definition(self._read(state_path)))

    def execute(self, context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        """Run the environment, and yield materializations and check results."""
        yield from sqlmesh.run(context=context).stream()

    def _definitions(self, project: SqlmeshProject) -> dg.Definitions:
        op = self.op or OpSettings()
        name = op.name or op_name(
            project.definition.name, self.environment, self.select, self.exclude
        )
        make = sqlmesh_assets(
            project=project,
            environment=self.environment,
            select=self.select,
            exclude=self.exclude,
            name=name,
            translator=self._translator,
            retry_policy=op.retry_policy,
            pool=op.pool,
            op_tags=op.tags,
        )
        # All components share the keys of resources.
        resource = f"sqlmesh_{name}"
        assets = make(self._function(resource, op.description))
        return dg.Definitions(
            assets=[assets],
            schedules=[self._schedule(assets)] if self.schedule else [],
            resources={
                resource: SqlmeshResource(
                    project=project,
                    longest_wait=op.longest_wait,
                    drain_timeout=op.drain_timeout,
                    report=op.report,
                )
            },
        )

    def _without_state(self) -> dg.Definitions:
        """Otherwise, a deployment without the state would look like an empty project."""
        message = (
            f"{self.place} has no state yet, so it has no assets: run dg utils refresh-defs-state"
        )
        logger.warning("%s", message)
        key = dg.AssetKey(["sqlmesh_without_state", fitting(self.place)])
        return dg.Definitions(assets=[dg.AssetSpec(key, description=message, kinds={"sqlmesh"})])

    @property
    def _translator(self) -> SqlmeshTranslator:
        if self.translation is None:
            return self.translator
        return TranslatedBy(self.translation, self.translator)

    def _function(self, resource: str, description: str | None) -> Callable[..., Iterator[Any]]:
        def run(context: Any, **resources: Any) -> Iterator[Any]:
            yield from self.execute(context, resources[resource])

        # Dagster uses the name of a parameter as the key of a resource.
        annotated: Any = run
        annotated.__annotations__ = {"context": dg.AssetExecutionContext, resource: SqlmeshResource}
        annotated.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
                for name, kind in annotated.__annotations__.items()
            ]
        )
        annotated.__doc__ = description
        return run

    def _schedule(self, assets: dg.AssetsDefinition) -> dg.ScheduleDefinition:
        from pytest_sqlmesh_tracker.dagster.automation.schedule import build_sqlmesh_schedule

        assert self.schedule
        return build_sqlmesh_schedule(assets, **vars(self.schedule))

    def _read(self, state_path: Path) -> ProjectDefinition:
        try:
            definition = ProjectDefinition.from_json(state_path.read_bytes())
        except ValueError as error:
            raise dg.DagsterInvalidDefinitionError(
                f"the state can't be read: {error}; {_REMEDY}"
            ) from None
        return self._moved(definition, lambda file, folder: os.path.normpath(Path(folder, file)))

    def _moved(
        self, definition: ProjectDefinition, move: Callable[[str, str], str]
    ) -> ProjectDefinition:
        """The definition with other paths of the models' files: in the state, paths are relative to
        the project's folder, which can be in another place where the definitions are made."""
        folder = self.project.paths[0]
        moved = [
            model.model_copy(update={"file": move(model.file, folder)}) if model.file else model
            for model in definition.models
        ]
        return definition.model_copy(update={"models": tuple(moved)})

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except (ProjectError, UnknownModelError, dg.DagsterInvalidDefinitionError) as error:
            raise type(error)(f"{self.place}: {error}") from None


def _place(context: ComponentDeclLoadContext, file: Path) -> str:
    """The file of a component, from where Python finds it: the same on all machines."""
    folder = context.component_path.file_path.relative_to(context.defs_module_path)
    place = PurePosixPath(*context.defs_module_name.split("."), *folder.parts, file.name)
    # The place of the first component of a file does not change when others follow.
    number = context.component_path.instance_key
    return f"{place}[{number}]" if number else str(place)

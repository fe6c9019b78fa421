"""The assets and checks of a project's models, and which model and audit each is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from pytest_sqlmesh_tracker.models.definitions import (
    ColumnSource,
    ModelDefinition,
    ProjectDefinition,
)

from .metadata import MODEL
from .naming import STATUS_CHECK, Call, CheckNames, fitting, named_call, outputs_of
from .selection import asset_models, reached
from .translator import SqlmeshTranslator


@dataclass(frozen=True)
class ProjectAssets:
    """The assets that stand for models of a project in one environment."""

    project: ProjectDefinition
    environment: str
    translator: SqlmeshTranslator = field(default_factory=SqlmeshTranslator)
    select: str | Sequence[str] = "*"
    exclude: str | Sequence[str] | None = None

    @cached_property
    def models(self) -> tuple[ModelDefinition, ...]:
        """The models that are assets, in topological order.

        Raises:
            UnknownModelError: a selector matches nothing, or none is left.
        """
        return asset_models(self.project.models, self.select, self.exclude)

    @cached_property
    def keys(self) -> dict[str, dg.AssetKey]:
        """The asset key of every model and table of the project, by name."""
        outside = self.project.outside
        return {
            **{name: self.translator.get_table_key(parts) for name, parts in outside.items()},
            **{model.name: self.translator.get_asset_key(model) for model in self.project.models},
        }

    def upstream_of(self, names: Iterable[str]) -> set[str]:
        """Everything that these models read, and what that reads."""
        return reached(names, {model.name: model.upstream for model in self.project.models})

    @cached_property
    def complete(self) -> bool:
        """Whether every model that SQLMesh evaluates is an asset."""
        return len(self.models) == len(asset_models(self.project.models))

    @cached_property
    def specs(self) -> list[dg.AssetSpec]:
        """The assets.

        Raises:
            DagsterInvalidDefinitionError: two models have the same name in Dagster.
        """
        self._refuse_alike()
        return [self._spec(model) for model in self.models]

    def _spec(self, model: ModelDefinition) -> dg.AssetSpec:
        model = model.model_copy(update={"lineage": self._lineage(model)})
        upstream = dict.fromkeys(self.keys[name] for name in self._reads(model))
        spec = self.translator.get_asset_spec(model, list(upstream), self.keys)
        # Whatever the translator says, the op finds its models by this; and what SQLMesh did not
        # execute is not materialized.
        return spec.replace_attributes(
            metadata={**spec.metadata, MODEL: model.name}, skippable=True
        )

    def _refuse_alike(self) -> None:
        """Refuse two assets that Dagster can't tell apart, and an asset that has the key of
        something else that is read."""
        called: dict[str, list[str]] = {}
        for model in self.models:
            for output in outputs_of(self.keys[model.name]):
                called.setdefault(output, []).append(model.name)
        assets = {model.name: self.keys[model.name] for model in self.models}
        read = {name: self.keys[name] for model in self.models for name in self._reads(model)}
        for name in sorted(read.keys() - assets.keys()):
            if read[name] in assets.values():
                called[outputs_of(read[name])[0]].append(name)
        for output, names in called.items():
            if len(names) > 1:
                raise dg.DagsterInvalidDefinitionError(
                    f"{' and '.join(names)} would all be {output} in Dagster: override "
                    "get_table_key or get_asset_key of SqlmeshTranslator, or use exclude="
                )

    def _reads(self, model: ModelDefinition) -> list[str]:
        """Models and tables that it reads: through embedded models, which are part of its query."""
        found: dict[str, None] = {}
        queue = list(model.upstream)
        while queue:
            name = queue.pop(0)
            if embedded := self._embedded.get(name):
                queue += embedded.upstream
            else:
                found[name] = None
        return list(found)

    def _lineage(self, model: ModelDefinition) -> dict[str, tuple[ColumnSource, ...]]:
        """From the columns of what it reads: through embedded models as well."""
        found = {}
        for column, sources in model.lineage.items():
            # Of an embedded model's column it can be unknown.
            with suppress(KeyError):
                found[column] = tuple(dict.fromkeys(self._through_embedded(sources)))
        return found

    def _through_embedded(self, sources: Iterable[ColumnSource]) -> Iterator[ColumnSource]:
        for source in sources:
            if embedded := self._embedded.get(source.model):
                yield from self._through_embedded(embedded.lineage[source.column])
            else:
                yield source

    @cached_property
    def _embedded(self) -> dict[str, ModelDefinition]:
        return {model.name: model for model in self.project.models if model.kind == "embedded"}

    # -- checks --------------------------------------------------------------------------------

    @cached_property
    def checks(self) -> dict[str, dict[Call, str]]:
        """Model → its audits → the names of their checks."""
        names = CheckNames(self.keys[model.name] for model in self.models)
        return {
            # In an order of their own: a name does not change when audits change places.
            model.name: {
                named_call(audit): names.take(
                    self.keys[model.name], self.translator.get_check_name(model, audit)
                )
                for audit in sorted(model.audits, key=named_call)
            }
            for model in self.models
        }

    @cached_property
    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """The check of what SQLMesh did with each model, and one for each audit."""
        of_models = [spec for model in self.models for spec in self._checks_of(model)]
        return [*of_models, *self._standalone.values()]

    def _checks_of(self, model: ModelDefinition) -> Iterator[dg.AssetCheckSpec]:
        key = self.keys[model.name]
        said = "What SQLMesh did with the model, and why."
        yield dg.AssetCheckSpec(STATUS_CHECK, asset=key, description=said)
        for audit in model.audits:
            yield dg.AssetCheckSpec(
                self.checks[model.name][named_call(audit)],
                asset=key,
                blocking=audit.blocking,
                description=audit.description,
                metadata={"sqlmesh/audit": audit.name, **_arguments(audit.arguments)},
            )

    @cached_property
    def standalone(self) -> dict[str, dg.AssetCheckKey]:
        """Standalone audit → its check, which is of the first of the assets that it reads."""
        return {name: spec.key for name, spec in self._standalone.items()}

    @cached_property
    def _standalone(self) -> dict[str, dg.AssetCheckSpec]:
        names = CheckNames(self.keys[model.name] for model in self.models)
        for model, checks in self.checks.items():
            for name in checks.values():
                names.take(self.keys[model], name)
        specs: dict[str, dg.AssetCheckSpec] = {}
        for audit in self.project.models:
            read = [name for name in self._reads(audit) if name in self.checks]
            # Dagster has no check that is of no asset.
            if audit.kind == "audit" and read:
                of, *others = (self.keys[name] for name in read)
                specs[audit.name] = dg.AssetCheckSpec(
                    names.take(of, fitting(audit.name)),
                    asset=of,
                    additional_deps=others,
                    # SQLMesh goes on with what is downstream of the models that it reads.
                    blocking=False,
                    description=audit.description,
                    metadata={"sqlmesh/audit": audit.name},
                )
        return specs


def _arguments(arguments: Mapping[str, str]) -> dict[str, str]:
    said = ", ".join(f"{name} := {value}" for name, value in sorted(arguments.items()))
    return {"sqlmesh/arguments": said} if said else {}

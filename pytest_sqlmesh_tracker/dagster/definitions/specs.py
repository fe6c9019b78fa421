"""The assets and asset checks of a project, by model and audit."""

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
from pytest_sqlmesh_tracker.models.graph import reachable

from .metadata import MODEL
from .naming import STATUS_CHECK, AuditCall, CheckNames, audit_call, fitting, outputs_of
from .selection import asset_models
from .translator import SqlmeshTranslator


@dataclass(frozen=True)
class ProjectAssets:
    """The assets of a project's models in one environment."""

    project: ProjectDefinition
    environment: str
    translator: SqlmeshTranslator = field(default_factory=SqlmeshTranslator)
    select: str | Sequence[str] = "*"
    exclude: str | Sequence[str] | None = None

    @cached_property
    def models(self) -> tuple[ModelDefinition, ...]:
        """The models that are assets, in topological order.

        Raises:
            UnknownModelError: a selector matches nothing, or no model is left.
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
        """All models and tables that these models read, directly or not."""
        upstream = {model.name: model.upstream for model in self.project.models}
        return reachable(names, lambda name: upstream.get(name, ()))

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
        self._reject_ambiguous_keys()
        return [self._spec(model) for model in self.models]

    def _spec(self, model: ModelDefinition) -> dg.AssetSpec:
        model = model.model_copy(update={"lineage": self._lineage(model)})
        upstream = dict.fromkeys(self.keys[name] for name in self._reads(model))
        spec = self.translator.get_asset_spec(model, list(upstream), self.keys)
        # Whatever the translator returns: the op finds its models by this key, and models that
        # SQLMesh did not execute are not materialized.
        return spec.replace_attributes(
            metadata={**spec.metadata, MODEL: model.name}, skippable=True
        )

    def _reject_ambiguous_keys(self) -> None:
        """Reject two assets that Dagster can't distinguish, and an asset that has the same key as
        another table that is read."""
        names_by_output: dict[str, list[str]] = {}
        for model in self.models:
            for output in outputs_of(self.keys[model.name]):
                names_by_output.setdefault(output, []).append(model.name)
        assets = {model.name: self.keys[model.name] for model in self.models}
        read = {name: self.keys[name] for model in self.models for name in self._reads(model)}
        for name in sorted(read.keys() - assets.keys()):
            if read[name] in assets.values():
                names_by_output[outputs_of(read[name])[0]].append(name)
        for output, names in names_by_output.items():
            if len(names) > 1:
                raise dg.DagsterInvalidDefinitionError(
                    f"{' and '.join(names)} would all become {output} in Dagster: override "
                    "get_table_key or get_asset_key of SqlmeshTranslator, or use exclude="
                )

    def _reads(self, model: ModelDefinition) -> list[str]:
        """The models and tables that it reads, also through embedded models, which are part of its
        query."""
        read: dict[str, None] = {}
        queue = list(model.upstream)
        while queue:
            name = queue.pop(0)
            if embedded := self._embedded.get(name):
                queue += embedded.upstream
            else:
                read[name] = None
        return list(read)

    def _lineage(self, model: ModelDefinition) -> dict[str, tuple[ColumnSource, ...]]:
        """Column → the columns that it is computed from, also through embedded models."""
        lineage = {}
        for column, sources in model.lineage.items():
            # The lineage of an embedded model's column can be unknown.
            with suppress(KeyError):
                lineage[column] = tuple(dict.fromkeys(self._through_embedded(sources)))
        return lineage

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
    def checks(self) -> dict[str, dict[AuditCall, str]]:
        """Model → its audits → the names of their checks."""
        names = CheckNames(self.keys[model.name] for model in self.models)
        return {
            # Sorted: a name does not change when the audits of a model are reordered.
            model.name: {
                audit_call(audit): names.take(
                    self.keys[model.name], self.translator.get_check_name(model, audit)
                )
                for audit in sorted(model.audits, key=audit_call)
            }
            for model in self.models
        }

    @cached_property
    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """The status check of each model, and one check for each audit."""
        of_models = [spec for model in self.models for spec in self._checks_of(model)]
        return [*of_models, *self._standalone.values()]

    def _checks_of(self, model: ModelDefinition) -> Iterator[dg.AssetCheckSpec]:
        key = self.keys[model.name]
        description = "What SQLMesh did with the model, and why."
        yield dg.AssetCheckSpec(STATUS_CHECK, asset=key, description=description)
        for audit in model.audits:
            yield dg.AssetCheckSpec(
                self.checks[model.name][audit_call(audit)],
                asset=key,
                blocking=audit.blocking,
                description=audit.description,
                metadata={"sqlmesh/audit": audit.name, **_arguments(audit.arguments)},
            )

    @cached_property
    def standalone(self) -> dict[str, dg.AssetCheckKey]:
        """Standalone audit → its check, which belongs to the first asset that the audit reads."""
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
            # In Dagster, each check belongs to an asset.
            if audit.kind == "audit" and read:
                first, *others = (self.keys[name] for name in read)
                specs[audit.name] = dg.AssetCheckSpec(
                    names.take(first, fitting(audit.name)),
                    asset=first,
                    additional_deps=others,
                    # SQLMesh goes on with what is downstream of the models that the audit reads.
                    blocking=False,
                    description=audit.description,
                    metadata={"sqlmesh/audit": audit.name},
                )
        return specs


def _arguments(arguments: Mapping[str, str]) -> dict[str, str]:
    text = ", ".join(f"{name} := {value}" for name, value in sorted(arguments.items()))
    return {"sqlmesh/arguments": text} if text else {}

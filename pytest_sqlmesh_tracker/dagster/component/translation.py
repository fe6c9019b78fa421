"""A translator whose assets are what YAML's `translation` makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.translator import SqlmeshTranslator
from pytest_sqlmesh_tracker.models.definitions import AuditDefinition, ModelDefinition


class TranslatedBy(SqlmeshTranslator):
    """The names of another translator, of which a translation has the last word.

    A key that it changes is changed everywhere: where models read it, in the lineage of columns,
    of external models.
    """

    def __init__(
        self,
        translation: Callable[[dg.AssetSpec, ModelDefinition], dg.AssetSpec],
        translator: SqlmeshTranslator,
    ) -> None:
        self._translation = translation
        self._translator = translator
        self._translated: dict[str, dg.AssetSpec] = {}

    def get_asset_key(self, model: ModelDefinition) -> dg.AssetKey:
        """The translated one."""
        return self._of(model).key

    def get_table_key(self, parts: Sequence[str]) -> dg.AssetKey:
        """The other translator's: a table that is no model is not translated."""
        return self._translator.get_table_key(parts)

    def get_check_name(self, model: ModelDefinition, audit: AuditDefinition) -> str:
        """The other translator's."""
        return self._translator.get_check_name(model, audit)

    def get_pool(self, project: str, environment: str) -> str | None:
        """The other translator's."""
        return self._translator.get_pool(project, environment)

    def get_asset_spec(
        self,
        model: ModelDefinition,
        upstream: Sequence[dg.AssetKey],
        keys: Mapping[str, dg.AssetKey],
    ) -> dg.AssetSpec:
        """The translated one, with what it depends on, unless that was translated."""
        spec, translated = self._translator.get_asset_spec(model, upstream, keys), self._of(model)
        return translated.replace_attributes(
            deps=translated.deps or spec.deps,
            metadata={**spec.metadata, **translated.metadata},
        )

    def _of(self, model: ModelDefinition) -> dg.AssetSpec:
        """The asset without what is upstream of it, which is known when all keys are."""
        if model.name not in self._translated:
            # Once: Dagster compiles the templates of YAML each time.
            spec = self._translator.get_asset_spec(model, [], {})
            self._translated[model.name] = self._translation(spec, model)
        return self._translated[model.name]

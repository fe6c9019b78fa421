"""A translator that applies the `translation` of a component's YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import AssetKeys
from pytest_sqlmesh_tracker.dagster.definitions.translator import SqlmeshTranslator
from pytest_sqlmesh_tracker.models.definitions import AuditDefinition, ModelDefinition


class TranslatedBy(SqlmeshTranslator):
    """Applies a translation to the assets of another translator.

    A key that the translation changes is changed everywhere: where models read it, in the lineage
    of columns, and for external models.
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
        """The key after the translation."""
        return self._of(model).key

    def get_table_key(self, parts: Sequence[str]) -> dg.AssetKey:
        """The key of the other translator: only models are translated."""
        return self._translator.get_table_key(parts)

    def get_check_name(self, model: ModelDefinition, audit: AuditDefinition) -> str:
        """The name of the other translator."""
        return self._translator.get_check_name(model, audit)

    def get_pool(self, project: str, environment: str) -> str | None:
        """The pool of the other translator."""
        return self._translator.get_pool(project, environment)

    def get_asset_spec(
        self, model: ModelDefinition, upstream: Sequence[dg.AssetKey], keys: AssetKeys
    ) -> dg.AssetSpec:
        """The translated asset, with its upstream assets unless the translation replaced them."""
        spec, translated = self._translator.get_asset_spec(model, upstream, keys), self._of(model)
        return translated.replace_attributes(
            deps=translated.deps or spec.deps,
            metadata={**spec.metadata, **translated.metadata},
        )

    def _of(self, model: ModelDefinition) -> dg.AssetSpec:
        """The translated asset without upstream: the keys of that are known once all models are
        translated."""
        if model.name not in self._translated:
            # Only once: Dagster compiles the YAML's templates with each call.
            spec = self._translator.get_asset_spec(model, [], {})
            self._translated[model.name] = self._translation(spec, model)
        return self._translated[model.name]

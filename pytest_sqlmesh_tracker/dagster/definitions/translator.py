"""The names and the metadata of a model in Dagster."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.models.definitions import AuditDefinition, ModelDefinition

from .metadata import AssetKeys, definition_metadata
from .naming import check_name, fitting, is_cron, is_owner, is_pool, not_reserved, tag_part


class SqlmeshTranslator:
    """Makes all names that assets have in Dagster; override its methods to change them.

    Characters that SQLMesh allows and Dagster rejects are replaced, so that definitions load with
    any owners, groups and tags. Only the name of the pool contains the environment.
    """

    def get_asset_key(self, model: ModelDefinition) -> dg.AssetKey:
        """`["sales", "orders"]`, preceded by the catalog if it is not the default one."""
        return self.get_table_key(model.parts)

    def get_table_key(self, parts: Sequence[str]) -> dg.AssetKey:
        """The key of a table that models read and that is not a model of the project.

        Args:
            parts: the identifiers of its name.
        """
        fitted = [fitting(part, r"[^A-Za-z0-9_.\-]") for part in parts]
        return dg.AssetKey(fitted if len(fitted) > 1 else [not_reserved(fitted[0])])

    def get_group_name(self, model: ModelDefinition) -> str | None:
        """The schema; None, for Dagster's default group, if the model has no schema."""
        return fitting(model.parts[-2]) if len(model.parts) > 1 else None

    def get_owners(self, model: ModelDefinition) -> Sequence[str]:
        """The owner: an email address unchanged, anything else as a team."""
        owner = re.sub(r"\s+", " ", model.owner or "").strip()
        if not owner:
            return []
        return [owner if is_owner(owner) else f"team:{owner}"]

    def get_tags(self, model: ModelDefinition) -> Mapping[str, str]:
        """The asset's tags: the model's tags. `pii:true` and `pii=true` are the tag `pii` with a
        value."""
        tags: dict[str, str] = {}
        for tag in model.tags:
            key, _, value = map(tag_part, re.sub("[:=]", ":", tag, count=1).partition(":"))
            if tags.setdefault(key or "tag", value) != value:
                # Dagster allows one value for each key.
                tags.setdefault(tag_part(tag) or "tag", "")
        return tags

    def get_kinds(self, model: ModelDefinition) -> set[str]:
        """The asset's kinds: `sqlmesh`, the model's kind, and its dialect without settings."""
        dialect = (model.dialect or "").partition(",")[0]
        return {tag_part(kind.lower()) for kind in ("sqlmesh", model.kind, dialect)} - {""}

    def get_description(self, model: ModelDefinition) -> str | None:
        """The asset's description: the model's description."""
        return model.description

    def get_metadata(self, model: ModelDefinition, keys: AssetKeys) -> Mapping[str, Any]:
        """Columns, their lineage, a reference to the code, and SQLMesh's own properties.

        Args:
            keys: the asset keys of the models and tables that it reads, by name.
        """
        return definition_metadata(model, keys)

    def get_code_version(self, model: ModelDefinition) -> str | None:
        """The asset's code version: SQLMesh's fingerprint of what the model computes."""
        return model.version

    def get_automation_condition(
        self, model: ModelDefinition
    ) -> dg.AutomationCondition[Any] | None:
        """The asset's automation condition: once for each tick of the model's cron.

        It does not wait for upstream assets, as `AutomationCondition.on_cron` does: a daily model
        below a weekly one would run weekly. It is None for seeds, which runs do not load again, and
        for crons with seconds, which Dagster does not accept.
        """
        timezone = model.cron_tz or "UTC"
        if model.kind == "seed" or not is_cron(model.cron, timezone):
            return None
        ticked = dg.AutomationCondition.cron_tick_passed(model.cron, cron_timezone=timezone)
        # A tick during a run waits for its end.
        waiting = ticked.since(dg.AutomationCondition.newly_requested())
        return (ticked | waiting) & ~dg.AutomationCondition.in_progress()

    def get_check_name(self, model: ModelDefinition, audit: AuditDefinition) -> str:
        """The name of an audit's check: the audit's name, followed by its arguments if the model
        has several audits of that name.

        Names that are still not unique in the op get a number.
        """
        return check_name(audit, model.audits)

    def get_pool(self, project: str, environment: str) -> str | None:
        """The pool of the op: with a limit of 1, runs of one environment do not overlap."""
        pool = f"sqlmesh/{fitting(project, '[^A-Za-z0-9_.-]')}/{fitting(environment)}"
        return pool if is_pool(pool) else fitting(pool)

    def get_asset_spec(
        self, model: ModelDefinition, upstream: Sequence[dg.AssetKey], keys: AssetKeys
    ) -> dg.AssetSpec:
        """The whole `AssetSpec`, made by the methods above.

        Args:
            model: the model.
            upstream: the keys that the asset depends on.
            keys: name → key of the models and tables that it reads.
        """
        return dg.AssetSpec(
            self.get_asset_key(model),
            deps=upstream,
            description=self.get_description(model),
            metadata=self.get_metadata(model, keys),
            group_name=self.get_group_name(model),
            owners=self.get_owners(model),
            tags=self.get_tags(model),
            kinds=self.get_kinds(model),
            code_version=self.get_code_version(model),
            automation_condition=self.get_automation_condition(model),
        )

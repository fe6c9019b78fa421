"""What a model is called in Dagster, and what Dagster is told of it before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.models.definitions import AuditDefinition, ModelDefinition

from .metadata import definition_metadata
from .naming import check_name, fitting, is_cron, is_owner, is_pool, not_reserved, tag_part


class SqlmeshTranslator:
    """Owns every name: override what should be otherwise.

    What SQLMesh allows and Dagster does not is changed to what Dagster allows, so that definitions
    load whatever owners, groups and tags there are. The environment is in no name but the pool's.
    """

    def get_asset_key(self, model: ModelDefinition) -> dg.AssetKey:
        """`["sales", "orders"]`; a catalog that is not the default one comes first."""
        return self.get_table_key(model.parts)

    def get_table_key(self, parts: Sequence[str]) -> dg.AssetKey:
        """Of a table that models read and the project does not have, by its identifiers."""
        fitted = [fitting(part, r"[^A-Za-z0-9_.\-]") for part in parts]
        return dg.AssetKey(fitted if len(fitted) > 1 else [not_reserved(fitted[0])])

    def get_group_name(self, model: ModelDefinition) -> str | None:
        """The schema; None, Dagster's default group, for a model without one."""
        return fitting(model.parts[-2]) if len(model.parts) > 1 else None

    def get_owners(self, model: ModelDefinition) -> Sequence[str]:
        """The owner: an email address as it is, anything else as a team."""
        owner = re.sub(r"\s+", " ", model.owner or "").strip()
        if not owner:
            return []
        return [owner if is_owner(owner) else f"team:{owner}"]

    def get_tags(self, model: ModelDefinition) -> Mapping[str, str]:
        """SQLMesh's tags; `pii:true` and `pii=true` are the tag `pii` with a value."""
        tags: dict[str, str] = {}
        for tag in model.tags:
            key, _, value = map(tag_part, re.sub("[:=]", ":", tag, count=1).partition(":"))
            if tags.setdefault(key or "tag", value) != value:
                # A second value, for which Dagster has no place.
                tags[tag_part(tag)] = ""
        return tags

    def get_kinds(self, model: ModelDefinition) -> set[str]:
        """`sqlmesh`, the kind, and the dialect, without its settings."""
        dialect = (model.dialect or "").partition(",")[0]
        return {tag_part(kind.lower()) for kind in ("sqlmesh", model.kind, dialect)} - {""}

    def get_description(self, model: ModelDefinition) -> str | None:
        """The model's description."""
        return model.description

    def get_metadata(
        self, model: ModelDefinition, keys: Mapping[str, dg.AssetKey]
    ) -> Mapping[str, Any]:
        """Columns, their lineage, where it is written, and SQLMesh's own facts.

        Args:
            keys: of the models and tables that it reads, by name.
        """
        return definition_metadata(model, keys)

    def get_code_version(self, model: ModelDefinition) -> str | None:
        """SQLMesh's fingerprint of what the model computes: not of its description or owner."""
        return model.version

    def get_automation_condition(
        self, model: ModelDefinition
    ) -> dg.AutomationCondition[Any] | None:
        """Once for each tick of the model's cron, whether or not its upstream has one then.

        (`AutomationCondition.on_cron` would wait until everything upstream was updated: a daily
        model below a weekly one would run weekly.) None for seeds, which no run loads again, and
        for a cron that Dagster does not take: one with seconds.
        """
        timezone = model.cron_tz or "UTC"
        if model.kind == "seed" or not is_cron(model.cron, timezone):
            return None
        ticked = dg.AutomationCondition.cron_tick_passed(model.cron, cron_timezone=timezone)
        # A tick during a run waits for its end.
        waiting = ticked.since(dg.AutomationCondition.newly_requested())
        return (ticked | waiting) & ~dg.AutomationCondition.in_progress()

    def get_check_name(self, model: ModelDefinition, audit: AuditDefinition) -> str:
        """The audit's name; with its arguments, where the model has several audits of that name.

        What is taken nevertheless gets a number: Dagster wants names that are unique in the op.
        """
        return check_name(audit, model.audits)

    def get_pool(self, project: str, environment: str) -> str | None:
        """The pool of the op: with a limit of 1, no two runs of one environment meet."""
        wanted = f"sqlmesh/{fitting(project, '[^A-Za-z0-9_.-]')}/{fitting(environment)}"
        return wanted if is_pool(wanted) else fitting(wanted)

    def get_asset_spec(
        self,
        model: ModelDefinition,
        upstream: Sequence[dg.AssetKey],
        keys: Mapping[str, dg.AssetKey],
    ) -> dg.AssetSpec:
        """All of the above.

        Args:
            upstream: what it depends on.
            keys: of the models and tables that it reads, by name.
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

"""The metadata of an asset that is known before anything runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.models.definitions import ModelDefinition

MODEL = "sqlmesh/model"
"""The metadata key for the name of an asset's model."""
REPEATED_KEYS = ("dagster/column_schema", "dagster/column_lineage", "dagster/code_references")
"""The metadata of a definition that each materialization repeats."""
AssetKeys = Mapping[str, dg.AssetKey]
"""The asset keys of models and of the tables that they read, by name."""


def definition_metadata(model: ModelDefinition, keys: AssetKeys) -> dict[str, Any]:
    """What is known of a model before anything runs."""
    facts: dict[str, Any] = {
        "sqlmesh/kind": model.kind,
        "sqlmesh/cron": f"{model.cron} {model.cron_tz}" if model.cron_tz else model.cron,
        **_code_reference(model),
        **_columns(model, keys),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _code_reference(model: ModelDefinition) -> dict[str, Any]:
    if model.file is None:
        return {}
    with warnings.catch_warnings():
        # Users need no warning that Dagster may change these classes.
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=model.file, line_number=1)
        references = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": references}


def _columns(model: ModelDefinition, keys: AssetKeys) -> dict[str, Any]:
    columns = [
        # Dagster requires a type.
        dg.TableColumn(c.name, type=c.type or "unknown", description=c.description)
        for c in model.columns
    ]
    lineage = {
        column: [
            dg.TableColumnDep(asset_key=keys[source.model], column_name=source.column)
            for source in sources
            if source.model in keys
        ]
        for column, sources in model.lineage.items()
    }
    metadata: dict[str, Any] = {}
    if columns:
        metadata["dagster/column_schema"] = dg.TableSchema(columns)
    if any(lineage.values()):
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(lineage)
    return metadata

"""The materializations of assets, as data. `emission` makes Dagster's events of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import REPEATED_KEYS
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome

from .checks import AuditCheck
from .outcome_record import InvocationFacts


@dataclass(frozen=True)
class Materialization:
    """An asset whose model SQLMesh executed."""

    asset: dg.AssetKey
    outcome: ModelOutcome
    invocation: InvocationFacts


@dataclass(frozen=True)
class OutputMaterialization(Materialization):
    """A materialization that is an output of the step: Dagster waits for it with what is downstream
    in the same run."""

    data_version: str
    """Different for each execution, also if the same intervals are evaluated again."""
    definition_metadata: Mapping[str, Any] = field(default_factory=dict)
    """What it repeats of the asset's definition."""
    audits: tuple[AuditCheck, ...] = ()


@dataclass(frozen=True)
class ObservedMaterialization:
    """What SQLMesh's state has as loaded, and no run of Dagster materialized."""

    asset: dg.AssetKey
    environment: str
    intervals: tuple[Interval, ...]
    loaded_through: datetime
    description: str
    data_version: str


def output_materialization(
    spec: dg.AssetSpec,
    outcome: ModelOutcome,
    invocation: InvocationFacts,
    audits: tuple[AuditCheck, ...],
) -> OutputMaterialization:
    """The materialization of a selected asset."""
    return OutputMaterialization(
        spec.key,
        outcome,
        invocation,
        data_version(spec.code_version, outcome.executed_intervals, outcome.finished_at),
        {key: spec.metadata[key] for key in REPEATED_KEYS if key in spec.metadata},
        audits,
    )


def data_version(*distinguishing: object) -> str:
    """A data version that is the same only for the same values."""
    return hashlib.sha256(" ".join(map(str, distinguishing)).encode()).hexdigest()[:32]

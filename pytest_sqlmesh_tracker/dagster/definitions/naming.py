"""Names that Dagster accepts, made of names that SQLMesh accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple, Protocol

import dagster as dg

STATUS_CHECK = "sqlmesh_execution_status"
"""The name of the check that each asset has: what SQLMesh did with its model, and why."""

_LONGEST = 100
"""Characters of a name that is joined from several texts."""


class Audit(Protocol):
    """An audit, as it is defined or as it ran."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def arguments(self) -> Mapping[str, str]:
        """Its arguments, as SQL."""


class AuditCall(NamedTuple):
    """What distinguishes an audit from the other audits of its model."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    """The name and the SQL of each argument, ordered by name."""


def audit_call(audit: Audit) -> AuditCall:
    """The audit's name and its arguments."""
    return AuditCall(audit.name, tuple(sorted(audit.arguments.items())))


def check_name(audit: Audit, audits: Iterable[Audit]) -> str:
    """The audit's name, followed by its arguments where another audit has the same name."""
    name = fitting(audit.name)
    if [fitting(other.name) for other in audits].count(name) == 1:
        return name
    return joined([name, *(value for _, value in sorted(audit.arguments.items()))])


class CheckNames:
    """Unique names for the checks of one op: Dagster names its outputs `<asset>_<check>`."""

    def __init__(self, keys: Iterable[dg.AssetKey]) -> None:
        self._taken = {output for key in keys for output in outputs_of(key)}

    def take(self, key: dg.AssetKey, preferred: str) -> str:
        """The preferred name, followed by a number if the op already has an output of that name."""
        asset, name, number = key.to_python_identifier(), preferred, 1
        while f"{asset}_{name}" in self._taken:
            number += 1
            name = f"{preferred}_{number}"
        self._taken.add(f"{asset}_{name}")
        return name


def outputs_of(key: dg.AssetKey) -> tuple[str, str]:
    """The names of the outputs that an op has for an asset and for its status check."""
    asset = key.to_python_identifier()
    return asset, f"{asset}_{STATUS_CHECK}"


def fitting(text: str, rejected: str = "[^A-Za-z0-9_]") -> str:
    """The text with `_` instead of each character that Dagster rejects; never empty."""
    return re.sub(rejected, "_", text) or "_"


def tag_part(text: str) -> str:
    """A key or a value of a tag: at most 63 characters."""
    return re.sub("[^A-Za-z0-9_.-]+", "_", text.strip())[:63]


def joined(texts: Iterable[str]) -> str:
    """One name joined from several texts: letters and digits, with `_` in between."""
    return re.sub("[^A-Za-z0-9]+", "_", "_".join(texts)).strip("_")[:_LONGEST] or "_"


def not_reserved(name: str) -> str:
    """The name of an op, or the only part of an asset key, with `_` after a reserved word."""
    return name if _accepted(lambda: dg.op(name=fitting(name))(lambda: None)) else f"{name}_"


@cache
def is_owner(owner: str) -> bool:
    """Whether Dagster accepts it as an owner."""
    return _accepted(lambda: dg.AssetSpec("any", owners=[owner]))


def is_pool(pool: str) -> bool:
    """Whether Dagster accepts it as the name of a pool: older versions reject slashes."""
    return _accepted(lambda: dg.op(name="any", pool=pool)(lambda: None))


@cache
def is_cron(cron: str, timezone: str) -> bool:
    """Whether Dagster accepts it for a schedule: it rejects seconds and days that never come."""
    return _accepted(
        lambda: dg.ScheduleDefinition(
            name="any", job_name="any", cron_schedule=cron, execution_timezone=timezone
        )
    )


def _accepted(make: Callable[[], object]) -> bool:
    try:
        make()
    except dg.DagsterInvalidDefinitionError:
        return False
    return True

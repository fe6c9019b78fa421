"""What SQLMesh allows in a name and Dagster does not, made into what Dagster allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Protocol

import dagster as dg

STATUS_CHECK = "sqlmesh_execution_status"
"""The check, on every asset, of what SQLMesh did with the model."""

Call = tuple[str, tuple[tuple[str, str], ...]]
"""An audit's name and its arguments: what tells two audits of one model apart."""
_LONGEST = 100
"""Letters of a name that is made of several texts."""


class Audit(Protocol):
    """An audit, as it is defined or as it ran."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def arguments(self) -> Mapping[str, str]:
        """What it is called with, as SQL."""


def named_call(audit: Audit) -> Call:
    """The audit's name and its arguments."""
    return audit.name, tuple(sorted(audit.arguments.items()))


def check_name(audit: Audit, audits: Iterable[Audit]) -> str:
    """The audit's name; with its arguments, where it is not the only one of that name."""
    name = fitting(audit.name)
    if [fitting(other.name) for other in audits].count(name) == 1:
        return name
    return joined([name, *(value for _, value in sorted(audit.arguments.items()))])


class CheckNames:
    """Names for the checks of one op, in which Dagster calls an output `<asset>_<check>`."""

    def __init__(self, keys: Iterable[dg.AssetKey]) -> None:
        self._taken = {output for key in keys for output in outputs_of(key)}

    def take(self, key: dg.AssetKey, wanted: str) -> str:
        """The wanted name; with a number, if the op has an output that is called so."""
        asset, name, number = key.to_python_identifier(), wanted, 1
        while f"{asset}_{name}" in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(f"{asset}_{name}")
        return name


def outputs_of(key: dg.AssetKey) -> tuple[str, str]:
    """What Dagster calls the outputs of an asset and of its status check."""
    asset = key.to_python_identifier()
    return asset, f"{asset}_{STATUS_CHECK}"


def fitting(text: str, refused: str = "[^A-Za-z0-9_]") -> str:
    """The text with `_` for what Dagster refuses; never empty."""
    return re.sub(refused, "_", text) or "_"


def tag_part(text: str) -> str:
    """A key or a value of a tag: at most 63 characters."""
    return re.sub("[^A-Za-z0-9_.-]+", "_", text.strip())[:63]


def joined(said: Iterable[str]) -> str:
    """One name of several texts: letters and digits with `_` between them."""
    return re.sub("[^A-Za-z0-9]+", "_", "_".join(said)).strip("_")[:_LONGEST] or "_"


def not_reserved(name: str) -> str:
    """The name, of an op or as the whole key of an asset: with `_` if it is `int`, `class`, …"""
    return name if _accepted(lambda: dg.op(name=fitting(name))(lambda: None)) else f"{name}_"


@cache
def is_owner(owner: str) -> bool:
    """Whether Dagster takes it for an owner."""
    return _accepted(lambda: dg.AssetSpec("any", owners=[owner]))


def is_pool(pool: str) -> bool:
    """Whether Dagster takes it for the name of a pool: its first versions allow no slashes."""
    return _accepted(lambda: dg.op(name="any", pool=pool)(lambda: None))


@cache
def is_cron(cron: str, timezone: str) -> bool:
    """Whether Dagster takes it for a schedule: it knows no seconds, and no days that never come."""
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

"""What is known of a SQLMesh project before anything runs. Pure data: knows no SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from pytest_sqlmesh_tracker.outcomes.types import Frozen


class ColumnDefinition(Frozen):
    """One column of a model."""

    name: str
    type: str | None = None
    """As SQL of the model's dialect; None if it is not known."""
    description: str | None = None


class ColumnSource(NamedTuple):
    """A column that another one is computed from."""

    model: str
    """The name, as reports have it, of a model or of a table outside of the project."""
    column: str


class AuditDefinition(Frozen):
    """An audit that runs with a model; its `AuditOutcome` has the same name and arguments."""

    name: str
    arguments: Mapping[str, str] = {}
    """Those of the model's call as SQL, without `blocking`."""
    blocking: bool = True
    """As the call says, else the audit. (Where a dev environment has only a preview of the model's
    data, SQLMesh lets no audit block.)"""
    description: str | None = None


class ModelDefinition(Frozen):
    """A model (or standalone audit) as the project's files define it."""

    name: str
    """As reports have it: without the default catalog, unique within the project."""
    fqn: str
    """SQLMesh's quoted, fully qualified name; a standalone audit's bare name."""
    parts: tuple[str, ...]
    """The identifiers of `name` without quotes; unique within the project."""
    kind: str
    """SQLMesh's kind, in lower case; `audit` for a standalone audit."""
    dialect: str | None = None
    cron: str
    cron_tz: str | None = None
    """The IANA name of the time zone that `cron` is in; None: UTC."""
    start: str | None = None
    """As it is written: a date, or a relative expression."""
    end: str | None = None
    """As it is written."""
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    """Names of what it reads: models, and tables outside of the project."""
    columns: tuple[ColumnDefinition, ...] = ()
    """Empty if they are not known."""
    lineage: Mapping[str, tuple[ColumnSource, ...]] = {}
    """Column → the upstream columns it is computed from. Columns for which that can't be told are
    left out; one computed from nothing upstream has no sources."""
    file: str | None = None
    """The absolute path of the file that defines it."""
    version: str
    """Changes when what the model itself computes does: the data hash of its fingerprint. SQLMesh
    has the same one for all standalone audits."""
    audits: tuple[AuditDefinition, ...] = ()
    """Those that run with it; without skipped ones."""


class ProjectDefinition(Frozen):
    """All models of a project."""

    name: str
    """The configuration's `project`, else the name of the folder."""
    models: tuple[ModelDefinition, ...]
    """In topological order; also external and embedded models, and standalone audits."""
    outside: Mapping[str, tuple[str, ...]] = {}
    """Tables that models read and that are none themselves: name → identifiers without quotes."""

    def to_json(self) -> str:
        """The definition as one JSON object."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> ProjectDefinition:
        """The definition that `to_json` made.

        Raises:
            ValueError: it is something else; one line says where and what.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "definition"
            line = f"not the definition of a project: {where}: {first['msg']}"
            raise ValueError(" ".join(line.split())) from None

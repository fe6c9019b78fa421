"""What is known about a SQLMesh project before anything runs. Pure data, without SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from pytest_sqlmesh_tracker.outcomes.types import Frozen


class ColumnDefinition(Frozen):
    """One column of a model."""

    name: str
    type: str | None = None
    """The type as SQL of the model's dialect; None if it is not known."""
    description: str | None = None


class ColumnSource(NamedTuple):
    """A column from which another one is computed."""

    model: str
    """The name, as in reports, of a model or of a table outside the project."""
    column: str


class AuditDefinition(Frozen):
    """An audit that runs with a model. Its `AuditOutcome` has the same name and arguments."""

    name: str
    """The audit's name."""
    arguments: Mapping[str, str] = {}
    """The arguments that the model passes, as SQL, without `blocking`."""
    blocking: bool = True
    """As the model passes it, or else as the audit defines it. (Where a dev environment has only a
    preview of the model's data, SQLMesh lets no audit block.)"""
    description: str | None = None
    """The audit's description."""


class ModelDefinition(Frozen):
    """A model (or standalone audit) as the project's files define it."""

    name: str
    """The name as in reports: without the default catalog, unique within the project."""
    fqn: str
    """SQLMesh's quoted, fully qualified name; a standalone audit's bare name."""
    parts: tuple[str, ...]
    """The identifiers of `name` without quotes; unique within the project."""
    kind: str
    """SQLMesh's kind, in lower case; `audit` for a standalone audit."""
    dialect: str | None = None
    """The SQL dialect."""
    cron: str
    """The cron expression."""
    cron_tz: str | None = None
    """The time zone of `cron`, as an IANA name; None means UTC."""
    start: str | None = None
    """The start as it is written: a date, or a relative expression."""
    end: str | None = None
    """The end as it is written."""
    description: str | None = None
    """The description."""
    owner: str | None = None
    """The owner."""
    tags: tuple[str, ...] = ()
    """The tags."""
    upstream: tuple[str, ...] = ()
    """Names of what it reads: models, and tables outside of the project."""
    columns: tuple[ColumnDefinition, ...] = ()
    """The columns; empty if they are not known."""
    lineage: Mapping[str, tuple[ColumnSource, ...]] = {}
    """Column → the upstream columns from which it is computed. Columns whose lineage is not known
    are left out; a column that is computed from nothing upstream has no sources."""
    file: str | None = None
    """The absolute path of the file that defines it."""
    version: str
    """The data hash of SQLMesh's fingerprint, which changes when what the model computes changes.
    All standalone audits have the same one."""
    audits: tuple[AuditDefinition, ...] = ()
    """The audits that run with it."""


class ProjectDefinition(Frozen):
    """All models in a project."""

    name: str
    """The configuration's `project`, or else the folder's name."""
    models: tuple[ModelDefinition, ...]
    """In topological order, including external and embedded models and standalone audits."""
    outside: Mapping[str, tuple[str, ...]] = {}
    """Tables that models read and that are not models: name → identifiers without quotes."""

    def to_json(self) -> str:
        """The definition as one JSON object."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> ProjectDefinition:
        """The definition from what `to_json` returned.

        Raises:
            ValueError: the text is not a project definition; the message says in one line where and
                why.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "definition"
            line = f"not a project definition: {where}: {first['msg']}"
            raise ValueError(" ".join(line.split())) from None

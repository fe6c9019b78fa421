"""The rows of models that must not depend on the history, and how they differ from others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_sqlmesh_tracker.sandbox.data.comparing import Difference
from pytest_sqlmesh_tracker.sandbox.data.methods import difference_to, read
from pytest_sqlmesh_tracker.sandbox.data.models import index_of
from pytest_sqlmesh_tracker.sandbox.data.records import Record
from pytest_sqlmesh_tracker.sandbox.data.sources import Source, Sources
from pytest_sqlmesh_tracker.sandbox.databases.engine import Column
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
from pytest_sqlmesh_tracker.suggestions import did_you_mean

from .steps import EvaluatedModels

CALLER = "assert_history_independent"


class IncomparableError(Exception):
    """The rows of a model can't be compared, because its columns differ."""


@dataclass(frozen=True)
class RowsDigest:
    """The number of a model's rows, and a digest of them."""

    count: int
    digest: int


@dataclass(frozen=True)
class ComparedModels:
    """The models whose rows are compared, and the columns that are left out.

    Attributes:
        names: the models, in the order of evaluation.
        ignored: model → columns that may differ.
    """

    names: tuple[str, ...]
    ignored: Mapping[str, Collection[str]]

    def digests(self, project: Sandbox) -> dict[str, RowsDigest]:
        """The digest of each model's rows."""
        made = {}
        with project.context.surroundings.in_use():
            for name in self.names:
                source = self.source(project, name)
                adapter = source.adapter
                ((count, digest),) = adapter.execute_users(adapter.rows.digest(source.query))
                made[name] = RowsDigest(count, int(digest))
        return made

    def difference(self, project: Sandbox, name: str, load: Sandbox) -> Difference | None:
        """How the rows of a model differ from those in another sandbox; None if they do not.

        Raises:
            IncomparableError: the model has other columns.
        """
        with load.context.surroundings.in_use():
            source = self.source(load, name)
            expected: list[Record] = [*read(source, source.query)]
        with project.context.surroundings.in_use():
            try:
                return difference_to(self.source(project, name), expected)
            except (AssertionError, SandboxError) as error:
                raise IncomparableError(str(error)) from None

    def source(self, project: Sandbox, name: str) -> Source:
        """The compared rows of a model.

        Of slowly changing dimensions, these are the current rows, without the times of their
        validity: those depend on when a change was first seen.

        Raises:
            SandboxError: the model lacks an ignored column.
        """
        source = Sources(project.context, project.environment).source(name, CALLER)
        adapter = source.adapter
        model: Any = project.context.get_model(name, raise_if_missing=True)
        columns: list[Column] = adapter.rows.columns(adapter, source.table)
        names = {adapter.system.folded(each.name): each.name for each in columns}
        ignored = {adapter.system.folded(each) for each in self.ignored.get(name, ())}
        for each in self.ignored.get(name, ()):
            if adapter.system.folded(each) not in names:
                hint = did_you_mean(each, names.values(), f"it has {', '.join(names.values())}")
                raise SandboxError(f"ignore: {name} has no column {each!r}; {hint}")
        condition = ""
        if model.kind.is_scd_type_2:
            validity = [model.kind.valid_from_name.name, model.kind.valid_to_name.name]
            ignored.update(map(adapter.system.folded, validity))
            condition = f" WHERE {Column(validity[1], '').sql} IS NULL"
        compared = [each for each in columns if adapter.system.folded(each.name) not in ignored]
        selected = ", ".join(adapter.rows.rounded(each) for each in compared) or "1"
        return replace(
            source, query=f"SELECT {selected} FROM {source.table}{condition}", table=None
        )


def models_to_compare(
    project: Sandbox,
    models: EvaluatedModels,
    chosen: Sequence[object] | None,
    ignored: Mapping[str, Iterable[str]],
) -> ComparedModels:
    """The chosen models, or all that SQLMesh evaluates, in the order of evaluation.

    Args:
        chosen: names, globs, or SQLMesh's `Model` or `Snapshot`; None means all.
        ignored: name or glob → columns that may differ.

    Raises:
        UnknownModelError: a name matches no model.
        SandboxError: SQLMesh never evaluates a chosen model.
    """
    __tracebackhide__ = True
    index = index_of(project.context)
    names = models.names
    if chosen is not None:
        matching = {each.name for model in chosen for each in index.matching(model)}
        never = sorted(matching - set(names))
        if never:
            raise SandboxError(
                f"SQLMesh never evaluates {', '.join(never)}, so no history changes its rows"
            )
        names = tuple(name for name in names if name in matching)
    columns: dict[str, set[str]] = {}
    for model, left_out in ignored.items():
        for each in index.matching(model):
            columns.setdefault(each.name, set()).update(left_out)
    return ComparedModels(names, columns)

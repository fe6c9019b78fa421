"""What can be asked of SQLMesh about an environment, and what it answers. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.spans import Span

Answer = TypeVar("Answer")


class Query(Frozen, Generic[Answer]):
    """A question; its parameter is the type of the answer."""


class UnfinishedPlan(Frozen):
    """The answer while a plan of the environment is applied, for the end of which a run waits."""

    answer: Literal["unfinished_plan"] = "unfinished_plan"
    plan: str
    """Its id."""


class Due(Frozen):
    """What a run would schedule. Names are fully qualified, in topological order."""

    answer: Literal["due"] = "due"
    due: tuple[str, ...]
    """Models and standalone audits of which a batch would be scheduled."""
    waiting: tuple[str, ...]
    """Those of which something is missing, and signals hold all of it back."""
    next_due: UtcDatetime | None
    """The first moment at which something will be missing of those models of which nothing is now,
    if nothing happens before; None if there is no such moment."""


class DueQuery(Query[Due]):
    """What would a run of an environment schedule at a moment, and when is something due next?"""

    query: Literal["due"] = "due"
    environment: str
    moment: UtcDatetime
    models: tuple[str, ...]
    """Fully qualified names of the models that `Due.next_due` is about."""
    only: bool = False
    """Whether the run is of these models alone, by `select_models`."""


class LoadedModel(Frozen):
    """What is loaded of a model."""

    version: str
    """Another one for another table."""
    intervals: tuple[Span, ...]
    """Disjoint, in order."""


class Loaded(Frozen):
    """What is loaded of each model of an environment."""

    answer: Literal["loaded"] = "loaded"
    models: Mapping[str, LoadedModel]
    """By fully qualified name."""


class LoadedQuery(Query[Loaded]):
    """What is loaded in an environment?"""

    query: Literal["loaded"] = "loaded"
    environment: str


class Nodes(Frozen):
    """Models and standalone audits of SQLMesh."""

    answer: Literal["nodes"] = "nodes"
    pickled: str
    """A mapping of their fully qualified names to them, pickled, in base 64."""


class NodesQuery(Query[Nodes]):
    """Which models and standalone audits do the project's files define?"""

    query: Literal["nodes"] = "nodes"


AnyQuery = Annotated[DueQuery | LoadedQuery | NodesQuery, Field(discriminator="query")]
AnyAnswer = Annotated[Due | Loaded | Nodes | UnfinishedPlan, Field(discriminator="answer")]


class Request(Frozen):
    """What the process that answers is given."""

    project: ProjectLocation
    query: AnyQuery


class Reply(Frozen):
    """What it returns: an answer, or why there is none."""

    answer: AnyAnswer | None = None
    error: str | None = None
    """In one line."""
    busy: bool = False
    """Whether another process has the database."""

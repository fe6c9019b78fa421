"""Messages between two processes, as plain data: queries about a project, and SQLMesh's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.predictions.predicted_run import PredictedRun
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.spans import Span

Answer = TypeVar("Answer")


class Query(Frozen, Generic[Answer]):
    """A query; its type parameter is the type of the answer."""

    @property
    def writes(self) -> bool:
        """Whether DuckDB files are opened so that they can be written to, as signals may do."""
        return True


class UnfinishedPlan(Frozen):
    """The answer while a plan of the environment is applied; a run would wait for its end."""

    answer: Literal["unfinished_plan"] = "unfinished_plan"
    plan: str
    """The plan's ID."""


class Due(Frozen):
    """What a run would schedule. Names are fully qualified, in topological order."""

    answer: Literal["due"] = "due"
    due: tuple[str, ...]
    """Models and standalone audits with at least one batch that would be scheduled."""
    waiting: tuple[str, ...]
    """Those with missing intervals that signals hold back entirely."""
    next_due: UtcDatetime | None
    """The first moment at which any model that is now complete will have a missing interval, if
    nothing else happens before; None if no model will have one."""


class DueQuery(Query[Due]):
    """Asks what a run of an environment would schedule at a moment, and what `next_due` is."""

    query: Literal["due"] = "due"
    environment: str
    moment: UtcDatetime
    models: tuple[str, ...]
    """Fully qualified names of the models that `Due.next_due` is about."""
    only: bool = False
    """Whether the run selects only these models, by `select_models`."""


class LoadedModel(Frozen):
    """What is loaded for a model."""

    version: str
    """Identifies the table: a different table has a different version."""
    intervals: tuple[Span, ...]
    """Disjoint and in order."""


class Loaded(Frozen):
    """What is loaded for each model of an environment."""

    answer: Literal["loaded"] = "loaded"
    models: Mapping[str, LoadedModel]
    """By fully qualified name."""


class LoadedQuery(Query[Loaded]):
    """Asks what is loaded in an environment."""

    query: Literal["loaded"] = "loaded"
    environment: str


class Nodes(Frozen):
    """SQLMesh's models and standalone audits."""

    answer: Literal["nodes"] = "nodes"
    pickled: str
    """A mapping from their fully qualified names to them, pickled and Base64-encoded."""
    folders: tuple[str, ...]
    """The folders of the project."""


class NodesQuery(Query[Nodes]):
    """Asks which models and standalone audits the project's files define."""

    query: Literal["nodes"] = "nodes"


class Why(Frozen):
    """What a run of an environment would report."""

    answer: Literal["why"] = "why"
    predicted: PredictedRun


class WhyQuery(Query[Why]):
    """Asks what a run of an environment would report at a moment."""

    query: Literal["why"] = "why"
    environment: str | None
    """None for the project's default target environment."""
    moment: UtcDatetime
    signals: bool = False
    """Whether to call signals."""

    @property
    def writes(self) -> bool:
        """Only signals may write."""
        return self.signals


AnyQuery = Annotated[DueQuery | LoadedQuery | NodesQuery | WhyQuery, Field(discriminator="query")]
AnyAnswer = Annotated[Due | Loaded | Nodes | UnfinishedPlan | Why, Field(discriminator="answer")]


class QueryMessage(Frozen):
    """The input of the answering process: a query, and the project that it is about."""

    project: ProjectLocation
    query: AnyQuery


class AnswerMessage(Frozen):
    """The output of the answering process: an answer or an error."""

    answer: AnyAnswer | None = None
    error: str | None = None
    """Why SQLMesh did not answer, in one line."""
    busy: bool = False
    """Whether another process has locked the database."""

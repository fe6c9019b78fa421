"""Reads from SQLMesh's state what a forecast starts from; nothing is run or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.snapshot import DeployabilityIndex

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.environments import deployability
from pytest_sqlmesh_tracker.tracking.project.names import display_names, kind_of
from pytest_sqlmesh_tracker.tracking.queries.planned import planned
from pytest_sqlmesh_tracker.tracking.spans import Millis, utc
from pytest_sqlmesh_tracker.wording.invocations import environment_words

from .crons import Crons
from .lifetimes import End, Start, start_of
from .results import ForecastModel, LoadedSpan
from .scheduled import Progress, ScheduledModel, Terms
from .units import Unit, unit_of


@dataclass(frozen=True)
class EnvironmentModels:
    """The models of an environment, and what is loaded of them."""

    name: str
    models: Sequence[ScheduledModel]
    """In topological order."""
    progress: Mapping[str, Progress]
    """By fully qualified name."""
    shown: Mapping[str, ForecastModel]
    """By fully qualified name."""
    expires: Millis | None
    """When SQLMesh removes the environment; None if it never does."""
    without_tables: frozenset[str] = frozenset()
    """Fully qualified names of models that have no table until they are evaluated."""

    @property
    def restates(self) -> bool:
        """Whether its runs apply automatic restatements (sqlmesh/core/context.py, `_run`)."""
        return self.name.lower() == c.PROD

    def expiring(self, expires: Millis | None) -> EnvironmentModels:
        """The same models, in an environment that expires at another moment. Forecasts of the two
        do not affect each other."""
        progress = {fqn: each.copy() for fqn, each in self.progress.items()}
        return replace(self, progress=progress, expires=expires)


def read_environment(context: Any, environment: str, at: Millis) -> EnvironmentModels:
    """The models of an environment as it was last planned, with what is loaded now.

    Args:
        context: a SQLMesh context, which need not have loaded the project.
        at: the earliest moment for which the models are simulated.

    Raises:
        ProjectError: the environment is not planned, or its latest plan is not finished.
    """
    latest = planned(context, environment)
    if not latest.finalized_ts:
        unfinished = EnvironmentState(unfinished_plan=latest.plan_id, environments=())
        raise ProjectError(environment_words(latest.name, unfinished))
    snapshots = list(context.scheduler(environment=latest.name).snapshots.values())
    context.state_sync.refresh_snapshot_intervals(snapshots)
    index = deployability(latest.name, snapshots) or DeployabilityIndex.all_deployable()
    known = environment_of(
        latest.name,
        snapshots,
        index,
        at=at,
        default_catalog=context.default_catalog,
        expires=latest.expiration_ts,
    )
    return replace(known, without_tables=_without_tables(known, context.state_sync))


def _without_tables(known: EnvironmentModels, state: Any) -> frozenset[str]:
    """Models of which nothing was ever loaded, unless an environment shows them.

    A plan with `backfill_models` leaves the others of its environment in this state.
    """
    versions = {
        model.fqn: model.snapshot.version
        for model in known.models
        if model.has_table and not known.progress[model.fqn].has_begun
    }
    if not versions or not compat.creates_tables_when_evaluated():
        return frozenset()
    promoted = {
        (snapshot.name, snapshot.version)
        for environment in state.get_environments()
        if environment.finalized_ts
        for snapshot in environment.promoted_snapshots
    }
    return frozenset(fqn for fqn, _ in versions.items() - promoted)


def environment_of(
    name: str,
    snapshots: Sequence[Any],
    index: Any,
    *,
    at: Millis,
    default_catalog: str | None,
    expires: Millis | None = None,
) -> EnvironmentModels:
    """The models of an environment, from SQLMesh's snapshots with their intervals.

    Args:
        name: the environment's name.
        snapshots: those of the environment.
        index: the `DeployabilityIndex` of its runs.
        at: the earliest moment for which the models are simulated.
        default_catalog: the context's, which shown names leave out.
        expires: when SQLMesh removes the environment.
    """
    models = _Models(snapshots, index, at).in_order()
    nodes = {model.fqn: model.snapshot.node for model in models}
    names = display_names(nodes, default_catalog)
    progress = {
        model.fqn: Progress(
            model.snapshot.intervals,
            model.snapshot.dev_intervals,
            model.snapshot.pending_restatement_intervals,
        )
        for model in models
    }
    return EnvironmentModels(
        name=name,
        models=models,
        progress=progress,
        shown={
            model.fqn: ForecastModel(
                name=names[model.fqn],
                fqn=model.fqn,
                kind=kind_of(nodes[model.fqn]),
                cron=nodes[model.fqn].cron,
                time_zone=str(zone) if (zone := nodes[model.fqn].cron_tz) else None,
                upstream=tuple(names[parent] for parent in model.parents),
                loads=_loads(model.terms, progress[model.fqn], at),
            )
            for model in models
        },
        expires=expires,
    )


def _loads(terms: Terms, progress: Progress, at: Millis) -> LoadedSpan:
    through = progress.through(terms, at)
    return LoadedSpan(
        start=utc(terms.start.at(at)),
        end=None if terms.end is None else utc(terms.end.exclusive_at(at)),
        through=None if through is None else utc(through),
    )


class _Models:
    """Makes the models of an environment from SQLMesh's snapshots."""

    def __init__(self, snapshots: Sequence[Any], index: Any, at: Millis) -> None:
        self._snapshots = {snapshot.name: snapshot for snapshot in snapshots}
        self._index = index
        self._crons = Crons(at)
        self._units: dict[Any, Unit] = {}
        self._starts: dict[str, Start] = {}

    def in_order(self) -> list[ScheduledModel]:
        """All of them, in topological order; those without an order among them, by name."""
        graph = {name: self._parents(name) for name in sorted(self._snapshots)}
        return [self._of(name) for name in TopologicalSorter(graph).static_order()]

    def _parents(self, name: str) -> list[str]:
        parents = {parent.name for parent in self._snapshots[name].parents}
        return sorted(parents & self._snapshots.keys())

    def _of(self, name: str) -> ScheduledModel:
        snapshot = self._snapshots[name]
        node, is_model = snapshot.node, snapshot.is_model
        unit = node.interval_unit
        terms = Terms(
            unit=self._units.setdefault(unit, unit_of(unit)),
            cron=self._crons.of(node),
            start=self._start(name),
            end=End(node.end) if node.end else None,
            has_model_end=is_model,
            lookback=snapshot.model.lookback if is_model else 0,
            allow_partials=snapshot.allow_partials,
            is_seed=snapshot.is_seed,
            evaluatable=snapshot.evaluatable,
            reads_preview=not self._index.is_representative(snapshot),
            writes_preview=not self._index.is_deployable(snapshot),
        )
        return ScheduledModel(
            fqn=name,
            terms=terms,
            parents=tuple(self._parents(name)),
            depends_on_past=snapshot.depends_on_past,
            only_audited=kind_of(node) in ONLY_AUDITED_KINDS,
            snapshot=snapshot,
        )

    def _start(self, name: str) -> Start:
        if name not in self._starts:
            snapshot = self._snapshots[name]
            # SQLMesh looks only at parents in just the version that the model was planned with.
            parents = [
                parent.name
                for parent in snapshot.parents
                if (known := self._snapshots.get(parent.name)) and known.snapshot_id == parent
            ]
            cron = self._crons.of(snapshot.node)
            self._starts[name] = start_of(snapshot.node, cron, map(self._start, sorted(parents)))
        return self._starts[name]

"""A schedule that requests only the assets whose models are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property

import dagster as dg
from packaging.version import Version

from pytest_sqlmesh_tracker.dagster.definitions.intermediates import (
    IntermediateAssets,
    WithIntermediates,
)
from pytest_sqlmesh_tracker.dagster.running.tags import DUE_ONLY
from pytest_sqlmesh_tracker.tracking.queries.messages import Due, DueQuery
from pytest_sqlmesh_tracker.wording.formats import listed, minute

from .op import AutomatedOp

_CHECKS_ALONE = Version("1.11.4")
"""The first version of Dagster whose daemon launches a request of checks alone; earlier ones launch
everything instead."""
_SHOWN = 5


def build_sqlmesh_schedule(
    assets: dg.AssetsDefinition,
    cron_schedule: str | Sequence[str],
    *,
    name: str | None = None,
    execution_timezone: str | None = None,
    default_status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.STOPPED,
) -> dg.ScheduleDefinition:
    """Make a schedule that requests a run only of the assets whose models are due.

    A tick is skipped, with the reason, if nothing is due or if a run of the assets is not finished.
    The run evaluates what is due when it begins, for all models of the assets: SQLMesh holds back
    models that wait for a signal upstream, and runs audits. Each tick asks SQLMesh in a process of
    its own.

    An asset of another op between two models is requested together with the due models below it, if
    its own upstream is due or was materialized after it. The run materializes all of them in order.

    Args:
        assets: what `sqlmesh_assets` returned, with the keys that it has in the `Definitions`.
        cron_schedule: how often to ask. Each model's own `cron` determines when it is due.
        name: the schedule's name; None means the op's name followed by `_due`.
        execution_timezone: the time zone of `cron_schedule`, as an IANA name; None means UTC.
        default_status: whether the schedule is running until somebody starts or stops it.

    Raises:
        DagsterInvalidDefinitionError: `sqlmesh_assets` did not make the assets, or their function
            does not have exactly one parameter that is annotated with `SqlmeshResource`.
    """
    tick = _DueTick(AutomatedOp.of(assets, "build_sqlmesh_schedule"))
    return dg.ScheduleDefinition(
        name=name or f"{assets.op.name}_due",
        cron_schedule=cron_schedule,
        execution_timezone=execution_timezone,
        default_status=default_status,
        # Selected by key: the `Definitions` have the assets themselves.
        target=WithIntermediates(frozenset(tick.op.keys.values())),
        execution_fn=tick.evaluate,
        required_resource_keys={tick.op.resource},
        description=f"Runs what is due in the SQLMesh environment {tick.op.environment}.",
    )


@dataclass(frozen=True)
class _DueTick:
    """The evaluation of a schedule's ticks."""

    op: AutomatedOp

    @cached_property
    def audits(self) -> dict[str, dg.AssetCheckKey]:
        """Standalone audit → its check."""
        assets, keys = self.op.assets, self.op.keys
        current_keys = {assets.keys[model.name]: keys[model.fqn] for model in assets.models}
        # SQLMesh runs no standalone audits where models are selected.
        standalone = assets.standalone if assets.complete else {}
        return {
            name: dg.AssetCheckKey(current_keys[check.asset_key], check.name)
            for name, check in standalone.items()
        }

    def evaluate(self, context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Ask SQLMesh what is due now, and request it.

        Raises:
            ProjectError: the project can't be opened, or the environment is not planned.
        """
        query = DueQuery(
            environment=self.op.environment,
            moment=datetime.now(timezone.utc),
            models=(*self.op.keys, *self.audits),
            only=not self.op.assets.complete,
        )
        answer = self.op.ask(context, query, "what is due in")
        if isinstance(answer, dg.SkipReason):
            return answer
        return self._request(context, answer.due) or dg.SkipReason(self._why_not(answer))

    def _request(
        self, context: dg.ScheduleEvaluationContext, due: Sequence[str]
    ) -> dg.RunRequest | None:
        assets = [self.op.keys[name] for name in due if name in self.op.keys]
        audits = {self.audits[name] for name in due if name in self.audits}
        if not assets and not (audits and Version(dg.__version__) >= _CHECKS_ALONE):
            return None
        graph = context.repository_def.asset_graph
        intermediates = IntermediateAssets(graph, frozenset(self.op.keys.values()))
        others = sorted(intermediates.outdated_upstream_of(frozenset(assets), context.instance))
        checks = None
        if self.audits:
            # Where models are selected, SQLMesh runs no standalone audits: the next tick requests
            # these.
            if assets and intermediates.own_downstream:
                audits = set()
            # If the run fails, Dagster shows requested checks without an evaluation as failed.
            of_assets = graph.get_check_keys_for_assets({*assets, *others})
            checks = sorted(of_assets - set(self.audits.values()) | audits)
        return dg.RunRequest(
            asset_selection=[*assets, *others],
            asset_check_keys=checks,
            tags={DUE_ONLY: "true", "sqlmesh/environment": self.op.environment},
        )

    def _why_not(self, answer: Due) -> str:
        parts = [f"nothing is due in {self.op.environment}"]
        if answer.due:
            names = self._shown(answer.due)
            parts = [f"due, but Dagster can't request them alone: {names}"]
        if answer.waiting:
            parts.append(f"waiting for a signal: {self._shown(answer.waiting)}")
        if answer.next_due:
            parts.append(f"next due: {minute(answer.next_due)}")
        return "; ".join(parts)

    def _shown(self, fqns: Sequence[str]) -> str:
        names = {model.fqn: model.name for model in self.op.assets.project.models}
        return listed([names.get(fqn, fqn) for fqn in fqns], _SHOWN)

"""A schedule that asks Dagster only for the assets of which something is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import dagster as dg
from packaging.version import Version

from pytest_sqlmesh_tracker.dagster.definitions.between import Between, WithBetween
from pytest_sqlmesh_tracker.dagster.running.asking import DUE_ONLY
from pytest_sqlmesh_tracker.wording.formats import listed, minute

from .runs import Watched

_CHECKS_ALONE = Version("1.11.4")
"""The first Dagster whose daemon launches what a schedule requests of checks; those before launch a
request of checks alone as one of everything."""
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
    due = _Due(Watched.by("build_sqlmesh_schedule", assets))
    return dg.ScheduleDefinition(
        name=name or f"{assets.op.name}_due",
        cron_schedule=cron_schedule,
        execution_timezone=execution_timezone,
        default_status=default_status,
        # By their keys: the assets themselves are the `Definitions`' own.
        target=WithBetween(frozenset(due.watched.keys.values())),
        execution_fn=due.tick,
        required_resource_keys={due.watched.resource},
        description=f"Runs what is due of SQLMesh's environment {due.watched.environment}.",
    )


@dataclass(frozen=True)
class _Due:
    """What a schedule asks for."""

    watched: Watched

    @cached_property
    def audits(self) -> dict[str, dg.AssetCheckKey]:
        """Standalone audit → its check."""
        assets, keys = self.watched.assets, self.watched.keys
        by_now = {assets.keys[model.name]: keys[model.fqn] for model in assets.models}
        # With models selected, SQLMesh runs no standalone audit.
        standalone = assets.standalone if assets.complete else {}
        return {
            name: dg.AssetCheckKey(by_now[check.asset_key], check.name)
            for name, check in standalone.items()
        }

    def tick(self, context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Ask SQLMesh what is due now.

        Raises:
            ProjectError: the project can't be opened, or the environment is not planned.
        """
        answer = self.watched.answer(
            context,
            "due",
            "what is due of",
            moment=datetime.now(timezone.utc).isoformat(),
            models=[*self.watched.keys, *self.audits],
            only=not self.watched.assets.complete,
        )
        if isinstance(answer, dg.SkipReason):
            return answer
        return self._request(context, answer["due"]) or dg.SkipReason(self._why_not(answer))

    def _request(
        self, context: dg.ScheduleEvaluationContext, due: Sequence[str]
    ) -> dg.RunRequest | None:
        assets = [self.watched.keys[name] for name in due if name in self.watched.keys]
        audits = {self.audits[name] for name in due if name in self.audits}
        if not assets and not (audits and Version(dg.__version__) >= _CHECKS_ALONE):
            return None
        graph = context.repository_def.asset_graph
        between = Between(graph, frozenset(self.watched.keys.values()))
        others = sorted(between.to_request(context.instance, frozenset(assets)))
        checks = None
        if self.audits:
            # Of selected models, SQLMesh runs no standalone audits: these are requested next time.
            if assets and between.own_below:
                audits = set()
            # A check that is requested and not evaluated would be shown as failed with the run.
            of_assets = graph.get_check_keys_for_assets({*assets, *others})
            checks = sorted(of_assets - set(self.audits.values()) | audits)
        return dg.RunRequest(
            asset_selection=[*assets, *others],
            asset_check_keys=checks,
            tags={DUE_ONLY: "true", "sqlmesh/environment": self.watched.environment},
        )

    def _why_not(self, answer: Any) -> str:
        said = [f"nothing of {self.watched.environment} is due"]
        if answer["due"]:
            names = self._shown(answer["due"])
            said = [f"due is only {names}, of which Dagster can request nothing alone"]
        if answer["waiting"]:
            said.append(f"waiting for a signal: {self._shown(answer['waiting'])}")
        if answer["next_due"]:
            said.append(f"next: {minute(datetime.fromisoformat(answer['next_due']))}")
        return "; ".join(said)

    def _shown(self, fqns: Sequence[str]) -> str:
        names = {model.fqn: model.name for model in self.watched.assets.project.models}
        return listed([names.get(fqn, fqn) for fqn in fqns], _SHOWN)

"""The plan of a template: of the whole project, or of the part that loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlmesh.core.snapshot import SnapshotId
from sqlmesh.utils.errors import PlanError, SQLMeshError

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.options import PlanScope, SandboxError
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.tracker import sqlmesh_run_tracker
from pytest_sqlmesh_tracker.wording.formats import listed


@dataclass(frozen=True)
class LeftOut:
    """What a partial plan left out.

    Attributes:
        failed: the failed models and standalone audits: fully qualified name → the version that
            failed.
        names: their names as users write them.
    """

    failed: Mapping[str, SnapshotId] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What a failing test shows; empty if nothing was left out."""
        if not self.names:
            return []
        names = listed(self.names)
        return [f'plan="partial" left out {names}, which failed, and everything downstream.']

    def select(self, context: Any) -> list[str] | None:
        """Selectors of what can be planned: all models except those that are unchanged since they
        failed, and everything downstream of them. None if nothing is left out.

        Standalone audits that read such models are removed from the context, since selectors can't
        exclude them.
        """
        names = [name for name, version in self.failed.items() if _is_still(context, name, version)]
        if not names:
            return None
        without = _and_below(context, names)
        for name, audit in list(context._standalone_audits.items()):
            if audit.fqn in without or audit.depends_on & without:
                del context._standalone_audits[name]
        roots = [context.models[name] for name in names if name in context.models]
        return (
            [f"^({' | '.join(f'{compat.selector_of(model)}+' for model in roots)})"]
            if roots
            else None
        )


def _is_still(context: Any, name: str, version: SnapshotId) -> bool:
    snapshot = context.snapshots.get(name)
    return snapshot is not None and snapshot.snapshot_id == version


def _and_below(context: Any, names: Iterable[str]) -> set[str]:
    """The models and everything downstream of them; standalone audits have nothing downstream."""
    names = set(names)
    return names.union(*(context.dag.downstream(name) for name in names & set(context.models)))


def plan_template(
    context: Any,
    environment: str,
    *,
    scope: PlanScope,
    explain: Callable[[RunReport], str],
) -> LeftOut:
    """Plan the environment, and apply the plan.

    SQLMesh promotes an environment only after everything in a plan is evaluated. So if models fail,
    a partial plan is repeated without them and the models downstream, until the rest is there.

    Args:
        scope: whether models may fail.
        explain: makes the message on a plan in which models failed.

    Raises:
        SandboxError: the plan failed; or models failed that must not, or none are left that load.
    """
    left_out = LeftOut()
    while True:
        with sqlmesh_run_tracker(context) as tracker:
            try:
                context.plan(
                    environment,
                    auto_apply=True,
                    no_prompts=True,
                    skip_tests=True,
                    select_models=left_out.select(context),
                )
                return left_out
            except Exception as error:
                report = tracker.last if tracker.reports else None
                if report is None or not report.failed:
                    raise SandboxError(
                        f"the plan of {environment} failed: {_cause(error, report)}"
                    ) from error
                if scope is not PlanScope.WHAT_LOADS:
                    raise SandboxError(
                        f"the plan of {environment} failed: {explain(report)}"
                    ) from error
                more = _versions(context, report)
                if more.keys() <= left_out.failed.keys() or not _leaves_any(context, more):
                    raise SandboxError(
                        f"the plan of {environment} failed, and no models are left to load: "
                        f"{explain(report)}"
                    ) from error
                names = dict.fromkeys((*left_out.names, *sorted(report.failed)))
                left_out = LeftOut({**left_out.failed, **more}, tuple(names))


def _cause(error: Exception, report: RunReport | None) -> str:
    """What failed first, as the report has it; SQLMesh's own errors without their type."""
    text = report.error if report and report.error else f"{type(error).__name__}: {error}"
    cause = error.__cause__ if isinstance(error, PlanError) else None
    for sqlmesh_error in (cause, error):
        if isinstance(sqlmesh_error, SQLMeshError):
            text = text.removeprefix(f"{type(sqlmesh_error).__name__}: ")
    return text


def _versions(context: Any, report: RunReport) -> dict[str, SnapshotId]:
    failed = {o.fqn for o in report.outcomes.values() if o.name in report.failed}
    return {name: s.snapshot_id for name, s in context.snapshots.items() if name in failed}


def _leaves_any(context: Any, failed: Iterable[str]) -> bool:
    without = _and_below(context, failed)
    return any(
        name not in without and not model.kind.is_external for name, model in context.models.items()
    )

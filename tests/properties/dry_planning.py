"""Applies a drawn change to a copy of the state and for real, and lists what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.forecast.dry.context import dry_context

from .demanding.tally import TALLY, Ledger, Violation
from .drawing.changes import Change
from .playing.invocations import Story, in_haste, played, supported


def dry_plan_violations(change: Change) -> list[Violation]:
    """Play a history, edit the project, plan it dry and for real; what differs."""
    ledger = Ledger()
    with played(change.history) as story:
        _plan_twice(change, story, ledger)
    TALLY.examples += 1
    return ledger.violations


def _plan_twice(change: Change, story: Story, ledger: Ledger) -> None:
    now = story.world.clock.now
    ledger.where = f"plan {change.environment}"
    models = change.edited(story.models)
    with story.world.copy(now, reads_files=True) as other, in_haste():
        other.rewrite(models)
        other.clock.start()
        other.faults.clear()
        everything = {model.name: model for model in (*story.definitions.values(), *models)}
        other.switch((), everything.values())
        context = other.context
        if not context.state_sync.get_environments_summary():
            TALLY.draws["nothing planned"] += 1
            return
        if not all(each.finalized_ts for each in context.state_sync.get_environments()):
            # The state does not show which tables an unfinished plan created: the command rejects
            # its environment.
            TALLY.draws["unfinished plans"] += 1
            return
        with dry_context(context, config=context.configs, gateway="local") as dry:
            dry.load()
            foreseen, refused = _planned(dry, change)
            state_foreseen = _state(dry)
        other.clock.travel(now)
        actual, raised = _planned(context, change)
        state = _state(context)
    if foreseen is None or actual is None:
        TALLY.draws["plans that are refused"] += 1
        ledger.demand(refused == raised, "refused", f"dry: {refused}; for real: {raised}")
        return
    TALLY.draws[f"plans that end in {actual.completion}"] += 1
    ledger.demand(
        foreseen.completion == actual.completion,
        "completion",
        f"dry {foreseen.completion}, for real {actual.completion}:\n{foreseen}\n{actual}",
    )
    if actual.completion not in ("success", "nothing_to_do"):
        return
    for name, outcome in actual.outcomes.items():
        dried = foreseen.outcomes.get(name)
        TALLY.draws["outcomes compared"] += 1
        ledger.demand(
            dried is not None and _summary(dried) == _summary(outcome),
            "outcome",
            f"{name}: dry {dried and _summary(dried)}; for real {_summary(outcome)}",
        )
    ledger.demand(state_foreseen == state, "state", f"dry {state_foreseen}\nfor real {state}")


def _summary(outcome: Any) -> tuple[Any, ...]:
    intervals = [(batch.start, batch.end, batch.status) for batch in outcome.batches]
    return (
        str(outcome.status),
        outcome.reasons,
        outcome.causes,
        outcome.change_category,
        outcome.loaded_through,
        outcome.next_due,
        intervals,
    )


def _planned(context: Any, change: Change) -> tuple[RunReport | None, str | None]:
    options = {"no_prompts": True, "auto_apply": True, "skip_tests": True, "skip_linter": True}
    arguments = supported({**options, **change.arguments}, context.plan)
    raised = None
    with sqlmesh_run_tracker(context) as tracker:
        try:
            context.plan(change.environment, **arguments)
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
    report = tracker.reports[-1] if tracker.reports else None
    if report is None or (raised and report.completion == "raised" and not report.outcomes):
        return None, raised
    return report, raised


def _state(context: Any) -> Mapping[str, Any]:
    """What each environment has, and which intervals of it are loaded."""
    known = {}
    state = context.state_sync
    for environment in state.get_environments():
        snapshots = state.get_snapshots(environment.snapshots)
        for snapshot in snapshots.values():
            known[f"{environment.name} {snapshot.name}"] = (
                snapshot.version,
                snapshot.change_category,
                list(snapshot.intervals),
                list(snapshot.dev_intervals),
                list(snapshot.pending_restatement_intervals),
                bool(snapshot.unpaused_ts),
            )
    return known

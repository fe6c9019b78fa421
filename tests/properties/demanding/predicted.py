"""What `why` predicts of a run is what the run then reports, except for what fails unforeseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.models.graph import reachable
from tests.properties.demanding.tally import TALLY

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import ModelOutcome, RunReport
    from tests.properties.playing.invocations import Invocation

    from .tally import Ledger

LATER = timedelta(minutes=1)
"""How much later than the prediction the run can begin; no interval is as short."""

FIELDS = (
    *("status", "reason", "reasons", "cause", "causes", "next_due", "waiting_since"),
    *("held_back", "blocked_by", "signals", "loaded_through", "restated_by", "changed_by"),
    *("change_category", "upstream_behind", "intervals_by_cause", "executed_intervals"),
    *("local_edit", "upstream", "undetermined_cron", "kind", "error", "failed_step"),
    "batches",
)


def check_predicted(invocation: Invocation, ledger: Ledger) -> None:
    prediction, report = invocation.predicted, invocation.report
    if prediction is None:
        return
    ledger.demand(not prediction.wrote, "predicted-read-only", "the prediction changed the state")
    run = prediction.run
    if isinstance(run, Exception):
        ledger.demand(invocation.raised, "predicted-raised", f"nothing could be predicted: {run}")
        return
    if len(invocation.witness.rounds) > 1 or "before_all" in str(invocation.step.switches):
        return
    foreseen = run.report
    ledger.demand(
        foreseen.outcomes.keys() == report.outcomes.keys(),
        "predicted-listing",
        f"predicted are {sorted(foreseen.outcomes)}; reported are {sorted(report.outcomes)}",
    )
    unforeseen = _unforeseen(foreseen, report)
    # Stories do not wait for environments, so that the tracker does not observe that a run waits.
    fields = FIELDS if foreseen.environment_state is None else ("status",)
    if not unforeseen:
        TALLY.draws["runs that went as predicted"] += 1
        same = foreseen.completion == report.completion
        words = f"predicted {foreseen.completion}; it was {report.completion}"
        ledger.demand(same, "predicted-completion", words)
    for name in report.outcomes.keys() & foreseen.outcomes.keys() - unforeseen:
        wrong = differences(foreseen[name], report[name], fields)
        for field in fields:
            ledger.demand(field not in wrong, f"predicted-{field}", wrong.get(field, ""))


def differences(
    foreseen: ModelOutcome, outcome: ModelOutcome, fields: Sequence[str] = FIELDS
) -> dict[str, str]:
    """Field → how the outcome that was predicted differs in it from that of the run."""
    wrong: dict[str, str] = {}
    for field in fields:
        expected, actual = _fact(foreseen, field), _fact(outcome, field)
        if not _alike(expected, actual):
            words = f"was predicted as {expected!r}; it is {actual!r}"
            wrong[field] = f"{field} of {outcome.name} {words}"
    return wrong


def _unforeseen(foreseen: RunReport, report: RunReport) -> set[str]:
    """The models that failed or were interrupted unforeseen, and those downstream of them."""
    broken = {
        name
        for name, outcome in report.outcomes.items()
        if outcome.status in ("failed", "interrupted")
        and (name not in foreseen or foreseen[name].status != outcome.status)
    }
    children: dict[str, set[str]] = {}
    for name, outcome in report.outcomes.items():
        for parent in outcome.upstream:
            children.setdefault(parent, set()).add(name)
    return broken | reachable(broken, lambda name: children.get(name, ()))


def _fact(outcome: ModelOutcome, field: str) -> Any:
    if field == "batches":
        return [(each.index, each.start, each.end, each.status) for each in outcome.batches]
    value = getattr(outcome, field)
    # The dates that SQLMesh rejects are those of the run.
    return value.split("(")[0] if field == "error" and value else value


def _alike(expected: Any, actual: Any) -> bool:
    """Whether two facts are equal, if the run had begun when it was predicted."""
    if isinstance(expected, datetime) and isinstance(actual, datetime):
        return abs(expected - actual) < LATER
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(
            _alike(value, actual[key]) for key, value in expected.items()
        )
    if isinstance(expected, tuple | list) and isinstance(actual, tuple | list):
        return len(expected) == len(actual) and all(map(_alike, expected, actual))
    return bool(expected == actual)

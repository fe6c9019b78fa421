"""What a report says happened, held against what the witnesses saw happen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.projects import without
from tests.properties.drawing.specs import ONLY_AUDITED
from tests.properties.playing.spans import merged, millis
from tests.properties.playing.state import shown
from tests.properties.playing.witnesses import ObservedBatch, Span

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome, RunReport
    from tests.properties.playing.invocations import Invocation

    from .tally import Ledger


def check_listing(invocation: Invocation, ledger: Ledger) -> None:
    """Every model is listed once, under its name, after what it reads."""
    report = invocation.report
    demand = ledger.demand
    expected = set(invocation.local)
    never_read = report.completion == "raised" and len(report.interrupted) == len(report.counted)
    planned = set(invocation.before.environment or {})
    # A run that ended before SQLMesh read the environment knows the project's models alone.
    if report.command == "run" and not (never_read and _listed(report) == expected):
        expected |= planned
    elif invocation.plan is not None and report.command == "plan":
        expected |= {snapshot.name for snapshot in invocation.plan.context_diff.snapshots.values()}
    listed = [outcome.fqn for outcome in report.outcomes.values()]
    names = sorted(map(shown, expected ^ set(listed)))
    if report.command == "run" or invocation.plan is not None:
        demand(not names, "listed", f"missing from the report, or listed wrongly: {names}")
    else:
        names = sorted(map(shown, expected - set(listed)))
        demand(not names, "listed", f"missing from the report: {names}")
    demand(len(listed) == len(set(listed)), "listed-once", f"{listed} has a model twice")
    place = {name: number for number, name in enumerate(report.outcomes)}
    for name, outcome in report.outcomes.items():
        demand(name == shown(outcome.fqn), "name", f"{outcome.fqn} is called {name}")
        late = [parent for parent in outcome.upstream if place[parent] > place[name]]
        demand(not late, "topological", f"{name} is listed before its parents {late}")
    for fqn, snapshot in (invocation.before.environment or invocation.local).items():
        for parent in snapshot.parents:
            child, above = place.get(shown(fqn)), place.get(shown(parent.name))
            if child is not None and above is not None and report.command == "run":
                demand(
                    above < child,
                    "topological",
                    f"{shown(fqn)} is listed before its parent {shown(parent.name)}",
                )


def _listed(report: RunReport) -> set[str]:
    return {outcome.fqn for outcome in report.outcomes.values()}


def check_form(invocation: Invocation, ledger: Ledger) -> None:
    """A report is complete, explains itself, and its reasons are in order."""
    from pytest_sqlmesh_tracker import RunReport

    report = invocation.report
    text = report.to_json()
    again = RunReport.from_json(text)
    ledger.demand(again == report and again.to_json() == text, "json", "JSON changes the report")
    for name, outcome in report.outcomes.items():
        ledger.demand(report.explain(name).startswith(name), "explain", f"{name} is not explained")
        ranks = [reason.rank for reason in outcome.reasons]
        ledger.demand(
            ranks == sorted(set(ranks))
            and outcome.reason is (outcome.reasons[0] if outcome.reasons else None),
            "reasons-in-order",
            f"{name} has its reasons out of order: {outcome.reasons}",
        )
        ledger.demand(
            set(outcome.evidence) == set(outcome.reasons),
            "evidence",
            f"{name} has evidence for {set(outcome.evidence)}, reasons {outcome.reasons}",
        )
        explained = outcome.reasons or outcome.status in ("executed", "audited", "unknown")
        ledger.demand(explained, "has-reason", f"{name} is {outcome.status} without a reason")


def check_statuses(invocation: Invocation, ledger: Ledger) -> None:
    for outcome in invocation.report.outcomes.values():
        claim = f"{outcome.name} is reported as {outcome.status} ({outcome.message})"
        if not ledger.demand(outcome.status != "unknown", "known", claim):
            continue
        observed = invocation.witness.of(outcome.fqn)
        expected = expected_statuses(invocation, outcome, observed)
        ledger.demand(
            str(outcome.status) in expected,
            f"status-{outcome.status}",
            f"{claim}, but the witnesses saw {_summary(invocation, outcome, observed)}: "
            f"{' or '.join(sorted(expected))}",
        )
        _check_batches(outcome, observed, ledger, only_text=invocation.report.command == "audit")
        _check_audits(outcome, observed, ledger)
    _check_order(invocation, ledger)
    _check_completion(invocation, ledger)


def expected_statuses(
    invocation: Invocation, outcome: ModelOutcome, observed: list[ObservedBatch]
) -> set[str]:
    """The statuses that what was observed leaves room for."""
    cut_off = invocation.raised is not None and (
        not _failed_by_models(invocation) or _comes_later(invocation, outcome.fqn)
    )
    latest = _latest(observed)
    if outcome.fqn in invocation.witness.creations_failed or any(b.broke for b in latest):
        return {"failed"}
    if any(batch.stopped for batch in latest):
        return {"interrupted"}
    if not latest:
        return {"skipped", "interrupted"} if cut_off else {"skipped"}
    evaluated = any(batch.evaluated for batch in observed)
    only_audited = outcome.kind in ONLY_AUDITED or not evaluated
    if only_audited and not any(batch.audits for batch in observed) and not evaluated:
        return {"skipped", "interrupted"} if cut_off else {"skipped"}
    done = "audited" if only_audited else "executed"
    return {done, "interrupted"} if cut_off else {done}


def _failed_by_models(invocation: Invocation) -> bool:
    """The call raised because models failed, which its batches already show."""
    witness = invocation.witness
    return "Plan application failed" in str(invocation.raised) and (
        bool(witness.creations_failed) or any(batch.broke for batch in witness.batches)
    )


def _comes_later(invocation: Invocation, fqn: str) -> bool:
    """The plan failed in a stage before the one in which it would have evaluated this model.

    First come the audits of models of which only those changed, then what is evaluated before the
    environment is updated, then what is evaluated after that: forward-only models, those that are
    restated by a cron, and what is below them.
    """
    witness = invocation.witness
    if not any(batch.evaluated is not None for batch in witness.batches):
        return True
    snapshot = next((s for s in _planned(invocation) if s.name == fqn), None)
    if snapshot is None:
        return False
    model = snapshot.model_or_none
    late = model is not None and (model.forward_only or model.auto_restatement_cron is not None)
    return (
        late
        or snapshot.is_forward_only
        or any(_comes_later(invocation, parent.name) for parent in snapshot.parents)
    )


def _planned(invocation: Invocation) -> list[Snapshot]:
    return list(invocation.plan.context_diff.snapshots.values()) if invocation.plan else []


def _latest(observed: list[ObservedBatch]) -> list[ObservedBatch]:
    """Of two rounds over the same interval the later one counts."""
    return list({batch.span or batch.order: batch for batch in observed}.values())


def _summary(invocation: Invocation, outcome: ModelOutcome, observed: list[ObservedBatch]) -> str:
    if outcome.fqn in invocation.witness.creations_failed:
        return f"its creation fail ({invocation.witness.creations_failed[outcome.fqn]})"
    if not observed:
        return "nothing of it start"
    recorded = sum(batch.recorded for batch in observed)
    evaluated = sum(batch.evaluated is not None for batch in observed)
    return (
        f"{len(observed)} batches start, {evaluated} of them evaluations, and {recorded} recorded"
    )


def _check_batches(
    outcome: ModelOutcome, observed: list[ObservedBatch], ledger: Ledger, only_text: bool
) -> None:
    """The batches reported are the ones observed, with their intervals and their fate."""
    only_audited = outcome.kind in ONLY_AUDITED or outcome.status == "audited"
    # An evaluation that failed after the audits of the same interval had passed leaves nothing.
    counted = [b for b in _latest(observed) if b.evaluated or outcome.kind in ONLY_AUDITED]
    recorded = [batch.span for batch in counted if batch.recorded and batch.span]
    if not only_text and not only_audited:
        reported = [(millis(b.start), millis(b.end)) for b in outcome.recorded_batches]
        evaluated = _not_loaded_anew([b for b in observed if b.recorded and b.span and b.evaluated])
        ledger.demand(
            Counter(reported) == Counter(evaluated),
            "recorded-batches",
            f"{outcome.name}: recorded batches reported {reported}, observed {evaluated}",
        )
        failed = [(millis(b.start), millis(b.end)) for b in outcome.batches if b.status == "failed"]
        broke = [batch.span for batch in _latest(observed) if batch.broke and batch.span]
        ledger.demand(
            Counter(failed) == Counter(broke),
            "failed-batches",
            f"{outcome.name}: failed batches reported {failed}, observed {broke}",
        )
    if outcome.status in ("failed", "interrupted"):
        ledger.demand(
            outcome.partial == bool(recorded) or only_text,
            "partial",
            f"{outcome.name}: partial={outcome.partial}, but {recorded} were recorded",
        )
    else:
        ledger.demand(not outcome.partial, "partial", f"{outcome.name}: {outcome.status}, partial")
    indexes = [(batch.round, batch.index) for batch in outcome.batches]
    ledger.demand(
        len(indexes) == len(set(indexes)),
        "batch-index",
        f"{outcome.name}: two batches with the same round and index: {indexes}",
    )


def _not_loaded_anew(recorded: list[ObservedBatch]) -> list[Span]:
    """The spans of recorded evaluations, without those that later ones cover: a run that begins
    again loads partial intervals anew, until a later moment."""
    left = []
    for position, batch in enumerate(recorded):
        later = [other.span for other in recorded[position + 1 :] if other.span]
        if batch.span and without([batch.span], later):
            left.append(batch.span)
    return left


def _check_audits(outcome: ModelOutcome, observed: list[ObservedBatch], ledger: Ledger) -> None:
    """The reported audits are those whose results were observed, with as many failed rows.

    A batch that failed before its audits ran does not undo those of an earlier round.
    """
    rows: Counter[str] = Counter()
    for batch in _latest([batch for batch in observed if batch.audits]):
        for audit in batch.audits:
            if not audit.skipped:
                rows[audit.name] += audit.rows
                rows[audit.name] += 0
    once = Counter(batch.span for batch in observed)
    counts = {
        batch.span: Counter(audit.rows > 0 for audit in batch.audits if not audit.skipped)
        for batch in observed
        if once[batch.span] == 1
    }
    for stated in outcome.batches:
        if stated.status == "skipped":
            continue  # of a later round: what was audited before is another batch
        counted_here = counts.get((millis(stated.start), millis(stated.end)), Counter())
        ledger.demand(
            (stated.audits_passed, stated.audits_failed)
            == (counted_here[False], counted_here[True])
            or once[millis(stated.start), millis(stated.end)] != 1,
            "audits-of-batch",
            f"{outcome.name}: batch {stated.index} reported {stated.audits_passed} passed and "
            f"{stated.audits_failed} failed audits, observed {dict(counted_here)}",
        )
    # An audit whose own query raised has no result that could be observed.
    raised = [audit for audit in outcome.audits if audit.error is not None]
    ledger.demand(
        not raised or any(each.audited is False and each.error for each in observed),
        "audit-raised",
        f"{outcome.name}: {[audit.name for audit in raised]} raised, but no round of audits did",
    )
    reported = Counter(
        {audit.name: audit.rows_failed for audit in outcome.audits if audit.error is None}
    )
    ledger.demand(
        dict(reported) == dict(rows),
        "audits",
        f"{outcome.name}: audits and failed rows reported {dict(reported)}, observed {dict(rows)}",
    )
    for each in outcome.audits:
        ledger.demand(
            each.passed == (rows[each.name] == 0 and each.error is None),
            "audit-passed",
            f"{outcome.name}: {each.name} passed={each.passed}, {rows[each.name]} rows observed",
        )


def _check_order(invocation: Invocation, ledger: Ledger) -> None:
    """Models are reported to have started in the order in which they did."""
    outcomes = invocation.report.outcomes.values()
    reported = sorted(
        (outcome.start_order, shown(outcome.fqn))
        for outcome in outcomes
        if outcome.start_order is not None
    )
    observed = [shown(fqn) for fqn in invocation.witness.first_starts()]
    if invocation.world.concurrent_tasks == 1 and invocation.report.command != "audit":
        names = [name for _, name in reported]
        ledger.demand(
            names == observed,
            "start-order",
            f"reported to have started {names}, observed {observed}",
        )


def _check_completion(invocation: Invocation, ledger: Ledger) -> None:
    report = invocation.report
    statuses = {str(outcome.status) for outcome in report.outcomes.values()}
    if "unknown" in statuses:
        return
    if invocation.raised is None:
        expected = {"failure"} if "failed" in statuses else {"success", "nothing_to_do"}
    elif not isinstance(invocation.raised, Exception):
        expected = {"interrupted"}
    elif isinstance(invocation.raised, UnboundLocalError):
        # SQLMesh means to exit here, because the environment has changed, and stumbles.
        expected = {"interrupted", "raised"}
    elif "failed" in statuses:
        expected = {"failure", "raised"}
    else:
        expected = {"raised"}
    ledger.demand(
        report.completion in expected,
        "completion",
        f"reported {report.completion}; raised {invocation.raised!r}, models {sorted(statuses)}",
    )
    ledger.demand(
        (report.error is not None) == (invocation.raised is not None),
        "error",
        f"error is reported as {report.error!r}, raised was {invocation.raised!r}",
    )


def check_state(invocation: Invocation, ledger: Ledger) -> None:
    """What is reported as recorded is in SQLMesh's state, and what is new there is reported."""
    before, after = invocation.before.intervals, invocation.after.intervals
    emptied = invocation.arguments.get("empty_backfill")
    for outcome in invocation.report.outcomes.values():
        if outcome.status in ("audited", "unknown") or emptied:
            continue
        reported: list[Span] = [(millis(b.start), millis(b.end)) for b in outcome.recorded_batches]
        loaded = [span for spans in after.get(outcome.fqn, {}).values() for span in spans]
        absent = without(reported, merged(loaded))
        ledger.demand(
            not absent,
            "reported-is-in-state",
            f"{outcome.name}: {absent} is reported, but not in state",
        )
        audited = [b.span for b in invocation.witness.of(outcome.fqn) if b.recorded and b.span]
        for table, spans in after.get(outcome.fqn, {}).items():
            new = without(without(spans, before.get(outcome.fqn, {}).get(table, [])), reported)
            new = without(new, [span for span in audited if not outcome.recorded_batches])
            if table.endswith("true") and invocation.report.command == "plan":
                continue  # forward-only versions inherit what is loaded
            ledger.demand(
                not new,
                "state-is-reported",
                f"{outcome.name}: {new} is new in state, but not reported",
            )


def is_idle_by_kind(invocation: Invocation, outcome: ModelOutcome) -> bool:
    """It is skipped as a model that has nothing to evaluate, and is one in every version."""
    versions = [
        known[outcome.fqn]
        for known in (invocation.local, invocation.before.environment or {})
        if outcome.fqn in known
    ]
    idle = not any(version.evaluatable for version in versions)
    return idle and (outcome.status, outcome.reasons) == ("skipped", ("not_evaluatable",))

"""All that is demanded of one Dagster run's events, held against what the witnesses observed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from tests.properties.demanding.lineage import ancestors
from tests.properties.demanding.statuses import _latest
from tests.properties.playing.dagster.runs import DagsterRun, DagsterStep
from tests.properties.playing.spans import merged, millis, moment
from tests.properties.playing.state import shown

from .between import check_between
from .status import ERROR, WARN, Memory, Statuses
from .tries import STATUS_CHECK, Try, fqn_of, is_table, key_of, plain

if TYPE_CHECKING:
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.witnesses import Span

Call = tuple[dg.AssetKey, str, str]
"""An asset, an audit of it, and with what arguments."""


def check_run(run: DagsterRun, memory: Memory, ledger: Ledger) -> None:
    _check_definitions(run, ledger)
    tries = [tried for part in run.steps for tried in _check_step(part, memory, ledger)]
    check_between(run, tries, ledger)
    _check_success(run, tries, ledger)


def _check_step(part: DagsterStep, memory: Memory, ledger: Ledger) -> list[Try]:
    where, tries = ledger.where, []
    executed: set[str] = set()
    for number, attempt in enumerate(part.attempts):
        ledger.where = f"{where}, {attempt.key}" if part.run.planned > 1 else where
        ledger.where += f", try {number}" if number else ""
        if not ledger.demand(
            len(attempt.called) == 1 and attempt.report is not None,
            "dagster-called",
            f"SQLMesh was called {attempt.called}",
        ):
            continue
        tried = Try(part, attempt)
        tries.append(tried)
        ledger.demand(
            attempt.read_to_its_end, "dagster-drained", "Dagster left before the last event"
        )
        if tried.is_plain_run:
            ledger.demand(attempt.called[0].command == "run", "dagster-called", "not run")
        _check_asked(tried, ledger)
        _check_materializations(tried, memory, ledger)
        _check_order(tried, ledger)
        _check_audits(tried, ledger)
        Statuses(tried, memory, ledger, frozenset(executed)).check()
        for key in tried.evaluations:
            ledger.demand(tried.may_tell(key), "dagster-check", f"{key} is not selected")
        _check_end(tried, number, ledger)
        executed |= tried.executed
    ledger.where = where
    return tries


def _check_definitions(run: DagsterRun, ledger: Ledger) -> None:
    """Each model that is evaluated is one asset with one check, and all names are unique."""
    models = {key_of(fqn) for fqn, snapshot in run.deployed.items() if is_table(snapshot)}
    keys = [spec.key for spec in run.assets.specs]
    same = Counter(keys) == Counter(models)
    ledger.demand(same, "dagster-assets", f"assets {keys}, models {models}")
    checks = [spec.key for spec in run.assets.check_specs]
    ledger.demand(len(checks) == len(set(checks)), "dagster-check-names", f"{checks}")
    without = [key for key in models if dg.AssetCheckKey(key, STATUS_CHECK) not in checks]
    ledger.demand(not without, "dagster-check-names", f"{without} have no status check")


def _check_asked(tried: Try, ledger: Ledger) -> None:
    """A run of selected assets evaluates no others, unless the function or the config does so."""
    part, request = tried.part, tried.run.request
    if not tried.is_plain_run or request.due or not (request.selection or tried.run.planned > 1):
        return
    observed = {batch.fqn for batch in tried.witness.batches if batch.evaluated is not None}
    others = [
        shown(fqn) for fqn in filter(tried.is_table, observed) if key_of(fqn) not in part.selected
    ]
    selected = sorted(key.to_user_string() for key in part.selected)
    ledger.demand(
        not others, "dagster-selection", f"selected {selected}, evaluated also {sorted(others)}"
    )


# -- materializations ------------------------------------------------------------------------------


def _check_materializations(tried: Try, memory: Memory, ledger: Ledger) -> None:
    executed = {key_of(fqn): fqn for fqn in tried.executed}
    materialized = Counter(event.asset_key for event in tried.materializations)
    for key in {*executed, *materialized}:
        ledger.demand(
            materialized[key] == (key in executed),
            "dagster-materialized",
            f"{key.to_user_string()} was materialized {materialized[key]} times; the witnesses saw "
            f"{tried.describe(executed.get(key) or fqn_of(key))}",
        )
    for event in tried.materializations:
        if event.asset_key in executed:
            _check_intervals(tried, event, executed[event.asset_key], ledger)
            _check_version(tried, event, memory, ledger)


def _check_intervals(tried: Try, event: Any, fqn: str, ledger: Ledger) -> None:
    facts = plain(event.step_materialization_data.materialization.metadata)
    reported, recorded = str(facts.get("sqlmesh/intervals")), tried.recorded(fqn)
    ledger.demand(
        _spans(reported) == _to_the_minute(merged(recorded)),
        "dagster-intervals",
        f"{shown(fqn)}: intervals {reported}, recorded {recorded}",
    )
    in_json = facts["sqlmesh/outcome"]["intervals"]
    ledger.demand(
        _to_the_minute(map(_span_in_json, in_json)) == _to_the_minute(merged(recorded)),
        "dagster-intervals",
        f"{shown(fqn)}: intervals {in_json} in JSON, recorded {recorded}",
    )
    batches = facts.get("sqlmesh/batches")
    ledger.demand(
        batches == len(recorded),
        "dagster-batches",
        f"{shown(fqn)}: {batches} batches, recorded {recorded}",
    )


def _check_version(tried: Try, event: Any, memory: Memory, ledger: Ledger) -> None:
    """Each materialization of a selected asset has another data version."""
    version = (event.step_materialization_data.materialization.tags or {}).get(
        "dagster/data_version"
    )
    if event.asset_key not in tried.part.selected or version is None:
        return
    known = (event.asset_key.to_user_string(), version)
    ledger.demand(known not in memory.versions, "dagster-data-version", f"{known} again")
    memory.versions.add(known)


def _check_order(tried: Try, ledger: Ledger) -> None:
    """What was done before something downstream of it began is materialized before it."""
    place = {event.asset_key: number for number, event in enumerate(tried.materializations)}
    last = {batch.fqn: batch.order for batch in tried.witness.batches}
    first = {batch.fqn: batch.order for batch in reversed(tried.witness.batches)}
    for fqn in last:
        for above in ancestors(fqn, tried.versions):
            own, upper = place.get(key_of(fqn)), place.get(key_of(above))
            if own is not None and upper is not None and last[above] < first[fqn]:
                claim = f"{shown(fqn)} is materialized before {shown(above)}"
                ledger.demand(upper < own, "dagster-order", claim)


_MOMENT = r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?"
_SPAN = re.compile(rf"({_MOMENT})(?: \.\. ({_MOMENT}|\d\d:\d\d) ?(?:UTC)?)?")


def _spans(text: str) -> list[Span]:
    """Intervals as people read them, whole days or times of a day."""
    spans = []
    for first, last in _SPAN.findall(text):
        if not last or len(last) == 10:
            end = moment(last or first) + timedelta(days=1)
        else:
            end = moment(last if len(last) > 5 else f"{first[:10]} {last}")
        spans.append((millis(moment(first)), millis(end)))
    return spans


def _span_in_json(interval: list[str]) -> Span:
    start, end = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in interval)
    return millis(start), millis(end)


def _to_the_minute(spans: Iterable[Span]) -> list[Span]:
    return [(start // 60_000 * 60_000, end // 60_000 * 60_000) for start, end in spans]


# -- audits ----------------------------------------------------------------------------------------


def _check_audits(tried: Try, ledger: Ledger) -> None:
    ran = _audits_that_ran(tried)
    evaluations = {key: each for key, each in tried.evaluations.items() if key.name != STATUS_CHECK}
    for key in {*ran, *evaluations}:
        if key not in evaluations and key not in tried.part.checks:
            continue  # it may be evaluated, and need not be
        name = f"check {key.name} of {key.asset_key.to_user_string()}"
        if not ledger.demand(
            (key in evaluations) == (key in ran),
            "dagster-audit-ran",
            f"{name} was {'' if key in evaluations else 'not '}evaluated, its audit "
            f"{'ran' if key in ran else 'did not run'}",
        ):
            continue
        (rows, blocking), last = ran[key], evaluations[key][-1]
        severity = last.severity if last.passed else ERROR if blocking else WARN
        ledger.demand(
            last.passed == (rows == 0) and last.severity is severity,
            "dagster-audit",
            f"{name}: passed={last.passed}, {last.severity}; {rows} rows, blocking={blocking}",
        )
        verdicts = [each.passed for each in evaluations[key]]
        once = verdicts in ([last.passed], [not last.passed, last.passed])
        ledger.demand(once, "dagster-audit-once", f"{name} is reported as {verdicts}")


def _audits_that_ran(tried: Try) -> dict[dg.AssetCheckKey, tuple[int, bool]]:
    """Selected checks of audits that ran: how many rows they returned, and whether they block."""
    of_models, standalone = _checks(tried.run)
    ran: dict[dg.AssetCheckKey, tuple[int, bool]] = {}
    for fqn in {batch.fqn for batch in tried.witness.batches}:
        audited = [batch for batch in tried.witness.of(fqn) if batch.audits]
        for audit in (audit for batch in _latest(audited) for audit in batch.audits):
            call = ", ".join(f"{name} := {audit.arguments[name]}" for name in audit.arguments)
            key = standalone.get(fqn) or of_models.get((key_of(fqn), audit.name, call))
            if key and tried.may_tell(key) and not audit.skipped:
                rows, _ = ran.get(key, (0, False))
                ran[key] = rows + audit.rows, audit.blocking
    return ran


def _checks(run: DagsterRun) -> tuple[dict[Call, dg.AssetCheckKey], dict[str, dg.AssetCheckKey]]:
    """The checks by the audits that they say they are of: of models, and standalone ones."""
    of_models: dict[Call, dg.AssetCheckKey] = {}
    standalone: dict[str, dg.AssetCheckKey] = {}
    for spec in run.assets.check_specs:
        facts = plain(spec.metadata or {})
        audit, arguments = str(facts.get("sqlmesh/audit")), str(facts.get("sqlmesh/arguments", ""))
        if audit in run.deployed:
            standalone[audit] = spec.key
        elif spec.name != STATUS_CHECK:
            of_models[spec.asset_key, audit, arguments] = spec.key
    return of_models, standalone


# -- the end ---------------------------------------------------------------------------------------


def _check_end(tried: Try, number: int, ledger: Ledger) -> None:
    """It succeeds if nothing failed; else it is tried again, or the failure names what did."""
    part, attempt = tried.part, tried.attempt
    failed, interrupted = tried.with_status("failed"), tried.with_status("interrupted")
    raised, last = attempt.called[0].raised, attempt is part.attempts[-1]
    wrong = bool(failed or interrupted or raised)
    only_audits = bool(failed) and not interrupted and tried.only_audits_failed
    again = wrong and tried.run.request.retries and number == 0 and not only_audits
    ledger.demand(last != again, "dagster-retry", f"failed {failed}, and last={last}")
    if last:
        ledger.demand(
            part.success == (not wrong),
            "dagster-success",
            f"success={part.success}; failed {failed}, interrupted {interrupted}, "
            f"raised {raised!r}",
        )
    if wrong:
        _check_failure(tried, failed, last, ledger)


def _check_success(run: DagsterRun, tries: list[Try], ledger: Ledger) -> None:
    """The run succeeds if each of its steps does."""
    if tries:
        steps = {part.attempts[0].key: part.success for part in run.steps}
        ledger.demand(
            run.success == all(steps.values()),
            "dagster-success",
            f"the run: success={run.success}; steps {steps}",
        )


def _check_failure(tried: Try, failed: list[str], last: bool, ledger: Ledger) -> None:
    kinds = dg.DagsterEventType
    events = tried.attempt.of_type(kinds.STEP_FAILURE if last else kinds.STEP_UP_FOR_RETRY)
    if not ledger.demand(len(events) == 1, "dagster-failure", f"failed with {events}"):
        return
    failure = events[0].event_specific_data
    if not last:
        absent = [name for name in failed if f"  {name}  " not in str(failure.error)]
        ledger.demand(
            not absent, "dagster-failure-names", f"{absent} not in the failure: {failure.error}"
        )
        return
    by_us = failure.user_failure_data
    if ledger.demand(by_us is not None, "dagster-failure", f"failed with {failure.error}"):
        reported = str(plain(by_us.metadata).get("sqlmesh/failed", ""))
        ledger.demand(
            sorted(filter(None, reported.split(", "))) == failed,
            "dagster-failure-names",
            f"the failure names {reported}, failed are {failed}",
        )

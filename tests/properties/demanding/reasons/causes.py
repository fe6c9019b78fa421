"""Why intervals were evaluated, held against the player's log of what was loaded and removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlmesh.core.snapshot.definition import expand_range
from sqlmesh.utils.date import to_timestamp

from tests.projects import Span, without
from tests.properties.demanding.lineage import ancestors, expanded
from tests.properties.demanding.tally import TALLY
from tests.properties.playing.log import Log
from tests.properties.playing.spans import merged, millis
from tests.properties.playing.state import Snapshots, copied, shown

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation
    from tests.properties.playing.witnesses import ObservedBatch

ORDER = (
    *("restated", "auto_restated", "first_load", "removed_before", "filled_gap"),
    *("new_interval", "ahead_of_cron", "reloaded", "audits_changed", "requested"),
)


def check_causes(invocation: Invocation, ledger: Ledger) -> None:
    if invocation.log is None:
        return
    for outcome in invocation.report.outcomes.values():
        if outcome.status == "unknown":
            continue
        _check_form(outcome, ledger)
        observed = invocation.witness.of(outcome.fqn)
        if invocation.report.command == "audit":
            _check_requested(outcome, observed, ledger)
        else:
            _check_model(invocation, outcome, observed, ledger)


def _check_form(outcome: ModelOutcome, ledger: Ledger) -> None:
    causes = [str(cause) for cause in outcome.causes]
    claim = f"{outcome.name} ({outcome.status}) has the causes {causes}"
    ledger.demand(causes == [c for c in ORDER if c in causes], "causes-in-order", claim)
    ledger.demand(
        set(outcome.cause_evidence) == set(outcome.causes) == set(outcome.intervals_by_cause)
        or (causes == ["requested"] and not outcome.intervals_by_cause),
        "cause-facts",
        f"{claim}, evidence for {set(outcome.cause_evidence)}, intervals of "
        f"{set(outcome.intervals_by_cause)}",
    )
    ledger.demand(
        not outcome.restated_by or {"restated", "auto_restated"} & set(causes),
        "restated-by",
        f"{claim}, and is reported as restated by {outcome.restated_by}",
    )
    ledger.demand(
        not outcome.changed_by or "first_load" in causes,
        "changed-by",
        f"{claim}, and is reported as changed by {outcome.changed_by}",
    )


def _check_requested(outcome: ModelOutcome, observed: list[ObservedBatch], ledger: Ledger) -> None:
    causes = [str(cause) for cause in outcome.causes]
    claim = (
        f"{outcome.name} is {outcome.status}, {len(observed)} audits were called; causes {causes}"
    )
    ledger.demand(causes in ([], ["requested"]), "requested", claim)
    audited = any(audit for batch in observed for audit in batch.audits if not audit.skipped)
    ledger.demand(causes or not audited, "requested", claim)
    ledger.demand(observed or not causes, "requested", claim)


def _check_model(
    invocation: Invocation, outcome: ModelOutcome, observed: list[ObservedBatch], ledger: Ledger
) -> None:
    begun = merged(batch.span for batch in observed if batch.span and batch.span[0] < batch.span[1])
    # A span that ends before it starts is SQLMesh's for a model that did not come to its first
    # tick yet.
    odd = any(batch.span and batch.span[0] >= batch.span[1] for batch in observed)
    # Of a model that failed, audits that passed before are not reported.
    counted = [b for b in observed if b.evaluated is not None or outcome.status != "failed"]
    done = merged(batch.span for batch in counted if batch.span and batch.recorded)
    reported_spans = {
        str(cause): [(millis(i.start), millis(i.end)) for i in spans]
        for cause, spans in outcome.intervals_by_cause.items()
    }
    every = sorted(span for spans in reported_spans.values() for span in spans)
    claim = f"{outcome.name} ({outcome.status}) is reported as {reported_spans}"
    demand = ledger.demand
    if odd:
        return
    demand(
        bool(outcome.causes) == bool(begun) or (not done and not outcome.causes),
        "cause-of-begun",
        f"{claim}; batches that began are {begun}",
    )
    demand(
        all(one[1] <= other[0] for one, other in pairwise(every)),
        "one-cause-each",
        f"{claim}; some have two causes",
    )
    demand(
        not without(done, every) and not without(every, begun),
        "causes-of-all",
        f"{claim}; recorded were {done}, begun {begun}",
    )
    version = _version(invocation, outcome.fqn)
    if version is None:
        return
    facts = Facts.of(invocation, version)
    for cause, spans in reported_spans.items():
        for cell in _cells(spans, version):
            possible = facts.causes(cell, observed)
            demand(cause in possible, f"cause-{cause}", f"{claim}; {cell} can have {possible}")
            if cause not in possible:
                break
    _check_facts(invocation, outcome, facts, ledger, claim)
    surely = {
        next(iter(p)) for c in _cells(begun, version) if len(p := facts.causes(c, observed)) == 1
    }
    TALLY.draws.update(f"models with intervals that can only be {cause}" for cause in surely)


def _check_facts(
    invocation: Invocation, outcome: ModelOutcome, facts: Facts, ledger: Ledger, claim: str
) -> None:
    causes = {str(cause) for cause in outcome.causes}
    evidence = {str(cause): kind for cause, kind in outcome.cause_evidence.items()}
    demand = ledger.demand
    by = set(outcome.restated_by)
    if "restated" in causes and "auto_restated" not in causes:
        demand(
            by == facts.restated_by_user,
            "restated-by",
            f"{claim} by {by}; the user restated {facts.restated_by_user}",
        )
    if "auto_restated" in causes and "restated" not in causes:
        demand(
            by and facts.triggers <= by <= facts.restating,
            "auto-restated-by",
            f"{claim} by {by}; {facts.triggers} trigger it, of {facts.restating}",
        )
    if "removed_before" in causes:
        demand(evidence["removed_before"] == "inferred", "removed-evidence", f"{claim}: {evidence}")
    if "first_load" not in causes:
        return
    category = facts.version.change_category
    demand(
        outcome.change_category in (None, category and category.name.lower()),
        "first-load-category",
        f"{claim}, change category {outcome.change_category}; it is {category}",
    )
    changed = facts.changed
    demand(
        set(outcome.changed_by) <= changed,
        "changed-by",
        f"{claim}, changed by {outcome.changed_by}; drawn as changed were {changed}",
    )
    modified = invocation.plan and invocation.plan.context_diff.modified_snapshots
    was = (invocation.before.environment or {}).get(outcome.fqn)
    # A change of metadata makes no version of the data.
    new = was is not None and was.version != facts.version.version
    if modified and outcome.fqn in modified and new and facts.drawn_as_changed:
        demand(outcome.changed_by, "changed-by", f"{claim}, changed by nothing; {changed} did")


@dataclass(frozen=True)
class Facts:
    """What the player knows of one model, and of its intervals before the invocation."""

    invocation: Invocation
    version: Snapshot
    versions: Snapshots
    log: Log

    @classmethod
    def of(cls, invocation: Invocation, version: Snapshot) -> Facts:
        assert invocation.log is not None
        return cls(invocation, version, _versions(invocation), invocation.log)

    def causes(self, cell: Span, observed: list[ObservedBatch]) -> set[str]:
        """Those that an interval can have."""
        batches = [batch for batch in observed if batch.span and _overlap(cell, batch.span)]
        own = self._of_log(cell, {table for batch in batches for table in batch.tables or ()})
        if any(batch.evaluated is None for batch in batches):
            only = self.version.is_model and not self.version.is_symbolic
            evaluated = any(batch.evaluated is not None for batch in batches)
            return {"audits_changed"} | (own if evaluated or not only else set())
        restated = self.invocation.witness.plan_restates.get(self.version.name)
        if self.restated_by_user and restated and _overlap(cell, restated):
            return {"restated"} | (own - {"reloaded"} if "reloaded" not in own else set())
        auto = self._auto
        if any(_overlap(cell, span) for span in auto):
            return {"auto_restated"} | (own - {"reloaded"} if "reloaded" not in own else set())
        if any(_overlap(cell, span) for span in self.version.pending_restatement_intervals):
            return own | {"auto_restated", "removed_before"}
        return own

    def _of_log(self, cell: Span, tables: set[str]) -> set[str]:
        """By what was loaded before, in either of the tables that the batches were about."""
        possible: set[str] = set()
        fqn = self.version.name
        before = self.invocation.before.intervals.get(fqn, {})
        for table in tables or {"?"}:
            loaded, ever = before.get(table, []), self.log.recorded.get((fqn, table), [])
            possible.add(self._of_table(cell, loaded, merged([*ever, *loaded])))
            if self._forgotten:
                possible.add(self._of_table(cell, loaded, loaded))
            if table.endswith("true"):
                # SQLMesh books what a new version in development inherits, though nothing of it
                # was evaluated.
                evaluated = self.log.evaluated.get((fqn, table), [])
                possible.add(self._of_table(cell, evaluated, evaluated))
        if {"new_interval", "ahead_of_cron"} & possible and self._undetermined:
            possible |= {"new_interval", "ahead_of_cron"}
        if "reloaded" in possible and _partly(cell, before, tables):
            possible |= {"new_interval", "ahead_of_cron"}
        return possible

    def _of_table(self, cell: Span, loaded: list[Span], ever: list[Span]) -> str:
        if not ever:
            return "first_load"
        if any(_overlap(cell, span) for span in loaded):
            return "reloaded"
        if any(_overlap(cell, span) for span in ever):
            return "removed_before"
        if any(span[0] >= cell[1] for span in loaded or ever):
            return "filled_gap"
        due = cell[1] <= to_timestamp(self.version.node.cron_floor(self.at))
        return "new_interval" if due else "ahead_of_cron"

    @property
    def at(self) -> Any:
        return self.invocation.report.execution_time

    @property
    def _undetermined(self) -> bool:
        model = self.invocation.definition(self.version)
        return model is None or model.undetermined

    @property
    def _forgotten(self) -> bool:
        """SQLMesh's janitor can have compacted the state, which shows no removal then."""
        step = self.invocation.step
        cleans = step.command == "run" and step.environment == "prod"
        return cleans or self.version.name not in self.invocation.before.removed

    @cached_property
    def restated_by_user(self) -> set[str]:
        """Those the user restated from which a chain of restated models leads to this one."""
        chosen = self.invocation.arguments.get("restate_models")
        if not chosen or self.invocation.plan is None:
            return set()
        restated = self.invocation.witness.plan_restates
        chain, todo = set(), [self.version.name] if self.version.name in restated else []
        while todo:
            fqn = todo.pop()
            chain.add(fqn)
            parents = self.versions[fqn].parents if fqn in self.versions else ()
            todo += [p.name for p in parents if p.name in restated and p.name not in chain]
        return {shown(fqn) for fqn in chain & expanded(chosen, self.versions)}

    @cached_property
    def _restated_by_itself(self) -> tuple[list[Span], set[str]]:
        """What SQLMesh restates of it by a cron, and by which models' crons."""
        from sqlmesh.core.snapshot import apply_auto_restatements

        step = self.invocation.step
        if self.invocation.report.command != "run" or step.environment != "prod":
            return [], set()
        copies = [copied(version) for version in self.versions.values()]
        applied: Any = apply_auto_restatements({s.snapshot_id: s for s in copies}, self.at)
        # The oldest SQLMesh does not return by which models' crons.
        intervals, triggers = applied if isinstance(applied, tuple) else (applied, {})
        spans = [
            span
            for each in intervals
            if (each.name, each.version) == (self.version.name, self.version.version)
            for span in each.pending_restatement_intervals
        ]
        by = {shown(id_.name) for id_ in triggers.get(self.version.snapshot_id, ())}
        return spans, by

    @property
    def _auto(self) -> list[Span]:
        return self._restated_by_itself[0]

    @property
    def triggers(self) -> set[str]:
        return self._restated_by_itself[1]

    @cached_property
    def restating(self) -> set[str]:
        """Itself and the models upstream, as far as they have a cron for restatements."""
        models = set()
        for fqn in {self.version.name, *ancestors(self.version.name, self.versions)}:
            model = self.invocation.definition(self.versions.get(fqn))
            if model is None or model.auto_restatement:
                models.add(shown(fqn))
        return models

    @cached_property
    def changed(self) -> set[str]:
        """Itself and the models upstream, as far as they were ever drawn otherwise, or are new."""
        models = set()
        for fqn in {self.version.name, *ancestors(self.version.name, self.versions)}:
            drawn = {m for (name, *_), m in self.invocation.definitions.items() if name == fqn}
            new = fqn not in (self.invocation.before.environment or {})
            if len(drawn) > 1 or new:
                models.add(shown(fqn))
        return models

    @cached_property
    def drawn_as_changed(self) -> bool:
        """Whether it or a model upstream is another one than in the environment before."""
        before = self.invocation.before.environment or {}
        for fqn in {self.version.name, *ancestors(self.version.name, self.versions)}:
            now = self.invocation.definition(self.versions.get(fqn))
            if fqn in before and self.invocation.definition(before[fqn]) != now:
                return True
        return False


def _versions(invocation: Invocation) -> Snapshots:
    if invocation.report.command == "run":
        return invocation.before.environment or {}
    if invocation.plan is None:
        return {}
    return {s.name: s for s in invocation.plan.context_diff.snapshots.values()}


def _version(invocation: Invocation, fqn: str) -> Snapshot | None:
    return _versions(invocation).get(fqn)


def _cells(spans: Iterable[Span], version: Snapshot) -> Iterator[Span]:
    """The intervals of a model that lie in spans."""
    for start, end in spans:
        yield from pairwise(expand_range(start, end, version.node.interval_unit))


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _partly(cell: Span, before: Mapping[str, list[Span]], tables: set[str]) -> bool:
    """Whether a part of it is loaded, and a part is not."""
    return any(without([cell], before.get(table, [])) not in ([], [cell]) for table in tables)

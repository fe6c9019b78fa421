"""Gate policies, and the files from which they are read. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.reports.files import ReportLike, entry

from .findings import GateResult
from .judging import PolicyEvaluation
from .reading import document_in, gate_table, parsed, rules_from, rules_in
from .rules import GateRule
from .values import GatePolicyError


class GatePolicy(Frozen):
    """What is expected of reports: the default, and rules for some models.

    By default, these outcomes are unexpected: every model that failed, was interrupted or is
    unknown, and every model that was skipped for `upstream_failed`, `signal_not_ready`,
    `upstream_not_ready`, `depends_on_past_gap`, `not_in_environment`, `not_applied`,
    `backfill_emptied` or `restatement_refused`. A rule is a `GateRule` or a mapping with the same
    fields:

        GatePolicy(rules=[{"models": "marketing.*", "allow": ["signal_not_ready"]}])

    **Which rule judges.** An outcome is judged by its status and its primary reason, by the last
    rule that matches its model and lists one of them. Within a rule, the reason takes precedence
    over the status, and `deny` over `allow`. An unknown outcome has only a status: allowing a
    reason does not allow it. An executed model is unexpected only if a rule denies `executed` or
    one of its `reasons`, and no later rule allows the same.

    **How long a model may wait.** With `tolerate={"reason": "signal_not_ready", "for": "2 days"}`,
    a rule lists this reason, too: a model that is skipped for it, or executed only in part, is
    expected while the execution time is at most that long after `waiting_since`, and unexpected
    afterwards. Meanwhile a downstream model with `upstream_not_ready` is expected as well if the
    signal of each model in its `blocked_by` is tolerated, unless a rule lists the reason or the
    status of the model itself. `GateResult.tolerated` has both. Reports of version 1 do not say
    since when a model waits, so that they are never tolerated.

    **How old data may be.** With `fresh_within="26 hours"`, it is a finding if `loaded_through` is
    further in the past than that at the execution time, or if nothing is loaded, whatever the
    outcome and whichever rule allows it. The last rule with a limit that matches the model decides.
    Seeds, models that have ended, have not started or are not in the environment, external and
    embedded models and standalone audits are passed over. So are outcomes that do not say what is
    loaded: unknown ones, and interrupted ones for which SQLMesh had not read the environment. A
    plan is judged only on models that it could not load because of a failure, a signal or a gap,
    as it leaves others to the next run; `Context.audit` loads nothing.

    **Warnings.** What a rule with `severity="warning"` finds wrong is a warning. By default,
    so are a failed non-blocking audit (`nonblocking_audit_failed`) and a model that was evaluated
    ahead of an upstream one (`upstream_behind`); the last rule that matches the model and lists the
    word decides. `GateResult.passed` depends on the findings alone.

    **Which models.** Reports of runs, plans and audits are judged alike, each by its own names. A
    rule does not have to match a model in every report. Standalone audits and external models are
    judged as well, but only rules with their exact names match them.

    **How a command ended.** Every completion except `success` and `nothing_to_do` is a finding:
    either that of the models that failed, were interrupted or are unknown, or one of its own. No
    rule allows the latter. A `failure` has no finding if rules allow all models that failed.

    **`require`** looks at all reports of runs together. Models that were only audited, or that a
    plan executed, do not count. With a glob, each model that it matches is required. Without a
    report of a run, nothing is required, so that a plan and a run can share a policy. Allowing a
    skip does not exempt a model.

    **The policy itself** has findings, each of them once: a rule after its last day, which has no
    effect; a name or glob that matches no model of any report; an ambiguous name; and a
    contradiction, which is a word that is both allowed or required and denied, or tolerated and
    one of these, by one rule or by two rules for the same `models` if the later one has no `until`.
    Different limits in two such rules are a contradiction as well.

    Raises:
        GatePolicyError: a rule is not valid; the message says in one line why.
    """

    rules: tuple[GateRule, ...] = ()
    """The rules, of which later ones take precedence."""
    source: str | None = None
    """The file from which the policy was read."""

    def __init__(
        self, rules: Iterable[GateRule | Mapping[str, Any]] = (), *, source: str | None = None
    ) -> None:
        BaseModel.__init__(self, rules=rules_from(rules), source=source)

    @classmethod
    def from_toml(cls, toml: str | Mapping[str, Any]) -> GatePolicy:
        """The policy in TOML text or a parsed document: `[[tool.sqlmesh_tracker.gate.rules]]`.

        A document that consists of `[[rules]]` alone is a policy as well; an empty document is the
        default policy.

        Raises:
            GatePolicyError: it is not TOML, holds no policy, or a policy that is not valid.
        """
        return cls(rules_in(parsed(toml) if isinstance(toml, str) else toml))

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> GatePolicy:
        """The policy in a TOML file, such as a `pyproject.toml`; otherwise as `from_toml`.

        Raises:
            GatePolicyError: the file can't be read or its policy is not valid; the message begins
                with the path.
        """
        try:
            return cls(rules_in(document_in(Path(path))), source=str(path))
        except GatePolicyError as error:
            raise GatePolicyError(f"{path}: {error}") from None

    @classmethod
    def nearest(cls, start: str | PathLike[str] = ".") -> GatePolicy:
        """The policy of the nearest `pyproject.toml` from a folder upward, or else the default.

        Files without `[tool.sqlmesh_tracker.gate]` are passed over. An empty table is the default
        policy, and ends the search.

        Raises:
            GatePolicyError: a file on the way can't be read, is not TOML, or has a policy that is
                not valid; the message begins with the path.
        """
        folder = Path(start).resolve()
        for file in (above / "pyproject.toml" for above in (folder, *folder.parents)):
            try:
                if file.is_file() and gate_table(document := document_in(file)) is not None:
                    return cls(rules_in(document), source=str(file))
            except GatePolicyError as error:
                raise GatePolicyError(f"{file}: {error}") from None
        return cls()

    def evaluate(self, *reports: ReportLike, today: date | None = None) -> GateResult:
        """Judge reports together, except those that are `superseded`.

        Args:
            reports: each a `RunReport`, or a pair of a test's node id and the report, as
                `load_reports` returns them. Without any, the gate passes; `GateResult.reports` is 0
                then.
            today: the day by which rules expire; None means the present one, in UTC.

        Raises:
            TypeError: an argument is not a report.
        """
        return PolicyEvaluation(
            self.rules, [entry(report, "GatePolicy.evaluate") for report in reports], today
        ).result()

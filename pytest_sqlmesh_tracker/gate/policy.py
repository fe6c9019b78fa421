"""What CI accepts: a policy, and where it is read from. Knows no SQLMesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.reports.files import Given, entry

from .findings import GateResult
from .judging import Evaluation
from .reading import document_in, gate_table, parsed, rules_from, rules_in
from .rules import GatePolicyError, GateRule


class GatePolicy(Frozen):
    """What is accepted of reports: the default, and rules that allow, deny or require.

    Unexpected by default is every model that failed, was interrupted or is unknown, and one that
    was skipped for `upstream_failed`, `signal_not_ready`, `upstream_not_ready`,
    `depends_on_past_gap`, `not_in_environment`, `not_applied`, `backfill_emptied` or
    `restatement_refused`. A rule is a `GateRule` or a mapping with the same fields:

        GatePolicy(rules=[{"models": "marketing.*", "allow": ["signal_not_ready"]}])

    **Which rule judges.** An outcome is judged by its status and its primary reason, by the last
    rule that is for its model and lists one of them; within a rule the reason counts before the
    status, and `deny` before `allow`. An unknown outcome has a status only: allowing a reason does
    not allow it. What executed is unexpected only if a rule denies that it executed, or one of its
    `reasons`, and no later rule allows the same.

    **Warnings.** What a rule with `severity="warning"` denies or requires is a warning, and so is,
    by default, a failed non-blocking audit (`nonblocking_audit_failed`) and a model that was
    evaluated ahead of one upstream (`upstream_behind`): the last rule for the model that lists the
    word decides. `GateResult.passed` looks at the findings alone.

    **Which models.** Reports of runs, plans and audits are judged alike, and each by its own names.
    A rule need not be for a model in every report. Standalone audits and external models are judged
    as well, but only exact names are for them.

    **How a command ended.** Each completion but `success` and `nothing_to_do` is a finding: that of
    the models that failed, were interrupted or are unknown, or else one by itself. No rule allows
    that one; a `failure` of which rules accept all failed models has none.

    **`require`** looks at the reports of runs together: a plan that executed the model does not
    count, nor does a model that only was audited. With a glob, each model that it matches is
    required. Where no report is of a run, nothing is required, so that a plan and a run can share a
    policy. That a skip is allowed does not excuse it.

    **Of the policy itself**, each told once: a rule after its last day, which has no effect; a name
    or a glob that no model of any report has, or a name that is ambiguous; and contradictions: one
    word allowed or required, and denied, by one rule, or by two for the same `models` of which the
    later has no `until`.

    Raises:
        GatePolicyError: a rule can't be meant; one line says why.
    """

    rules: tuple[GateRule, ...] = ()
    source: str | None = None
    """The file that it was read from."""

    def __init__(
        self, rules: Iterable[GateRule | Mapping[str, Any]] = (), *, source: str | None = None
    ) -> None:
        BaseModel.__init__(self, rules=rules_from(rules), source=source)

    @classmethod
    def from_toml(cls, toml: str | Mapping[str, Any]) -> GatePolicy:
        """The policy in TOML text or a parsed document: `[[tool.sqlmesh_tracker.gate.rules]]`.

        A document of nothing but `[[rules]]` is a policy, too; an empty one is the default.

        Raises:
            GatePolicyError: it is no TOML, holds no policy, or one that can't be meant.
        """
        return cls(rules_in(parsed(toml) if isinstance(toml, str) else toml))

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> GatePolicy:
        """The policy in a TOML file, as of `from_toml`; any `pyproject.toml` that has one will do.

        Raises:
            GatePolicyError: also when it can't be read; the line begins with the path.
        """
        try:
            return cls(rules_in(document_in(Path(path))), source=str(path))
        except GatePolicyError as error:
            raise GatePolicyError(f"{path}: {error}") from None

    @classmethod
    def nearest(cls, start: str | PathLike[str] = ".") -> GatePolicy:
        """The policy of the nearest `pyproject.toml` from a folder upward, or else the default.

        One without `[tool.sqlmesh_tracker.gate]` is passed over, as one may be in each package of
        a repository; an empty table is the default policy, and ends the search.

        Raises:
            GatePolicyError: a file on the way can't be read, is no TOML, or its policy can't be
                meant; the line begins with the path.
        """
        folder = Path(start).resolve()
        for file in (above / "pyproject.toml" for above in (folder, *folder.parents)):
            try:
                if file.is_file() and gate_table(document := document_in(file)) is not None:
                    return cls(rules_in(document), source=str(file))
            except GatePolicyError as error:
                raise GatePolicyError(f"{file}: {error}") from None
        return cls()

    def evaluate(self, *reports: Given, today: date | None = None) -> GateResult:
        """Judge reports together. Those that are `superseded` are passed over.

        Args:
            reports: each a `RunReport`, or a pair of its test's node id and the report, as
                `load_reports` returns them. None at all pass: whether that is all right is for
                the caller to say, by `GateResult.reports`.
            today: the day by which rules expire; the present one, in UTC.

        Raises:
            TypeError: something else than reports.
        """
        return Evaluation(
            self.rules, [entry(report, "a gate judges") for report in reports], today
        ).result()

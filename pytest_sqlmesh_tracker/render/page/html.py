"""Reports as one self-contained HTML page, which is complete even without its scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

from markupsafe import Markup

from pytest_sqlmesh_tracker.gate import KINDS, GateFinding, GateResult
from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES
from pytest_sqlmesh_tracker.outcomes.outcome import Batch
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.render.alike import in_groups
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import quantity
from pytest_sqlmesh_tracker.wording.invocations import superseded
from pytest_sqlmesh_tracker.wording.paragraphs import Paragraphs

from .anchors import invocation_anchors, model_anchor
from .gantt import gantt
from .graph import Graph, layout
from .model_files import ModelFiles
from .schemas import SchemaGroup, by_schema
from .templates import LOOKS, environment, policy, short, source, visible

_MOST_BATCHES = 100
_FEW = 12
"""The number of models that fit into any drawing and need no overview by schema."""
_URGENT_FIRST = (
    "failed",
    "interrupted",
    "unknown",
    "blocked",
    "executed",
    "audited",
    "skipped",
    "not evaluatable",
)

_Word = TypeVar("_Word", Status, Reason, Cause)


def page(
    reports: Sequence[Entry],
    result: GateResult | None = None,
    files: ModelFiles | None = None,
) -> str:
    """The page: totals, the gate's findings, and a graph, a table and details per invocation.

    The same reports make the same page. It loads nothing, and can be encoded as UTF-8 whatever
    the names of its models are. All times on it are in UTC.

    Args:
        reports: each with the node id of its test or None. Reports of repeated tries are only
            counted.
        result: a gate's result for the same reports, in the same order.
        files: where the page will be and the files of models are, for links to those that exist.
    """
    findings = () if result is None else result.findings
    warnings = () if result is None else result.warnings
    tolerated = () if result is None else result.tolerated
    shown = [(n, test, report) for n, (test, report) in enumerate(reports) if not report.superseded]
    anchors = invocation_anchors([report.id for *_, report in shown])
    invocations = [
        _Invocation(
            number,
            anchor,
            test,
            report,
            [f for f in findings if f.report_index == number],
            [w for w in warnings if w.report_index == number],
            {each.model for each in tolerated if each.report_index == number},
            files,
        )
        for anchor, (number, test, report) in zip(anchors, shown, strict=True)
    ]
    style = source("page.css")
    scripts = ("theme.js", "gantt.js", "layout.js", "graph.js", "schemas.js", "page.js")
    script = Markup("\n").join(map(source, scripts))
    template = environment().get_template("page.html")
    return template.render(
        result=result,
        warned=len(warnings),
        findings=_by_urgency(in_groups(findings)),
        warnings=_by_urgency(in_groups(warnings)),
        number_tolerated=len(tolerated),
        tolerated=in_groups(tolerated),
        invocations=invocations,
        invocation_at={invocation.number: invocation for invocation in invocations},
        chosen=_most_urgent(invocations),
        left_out=superseded(report for _, report in reports),
        statuses=_counts(Status, (o.status for i in invocations for o in i.report.counted)),
        style=style,
        script=script,
        policy=policy(style, script),
    )


class _Invocation:
    """What the templates show of one report."""

    def __init__(
        self,
        number: int,
        anchor: str,
        test: str | None,
        report: RunReport,
        findings: Sequence[GateFinding],
        warnings: Sequence[GateFinding],
        tolerated: Container[str | None],
        files: ModelFiles | None,
    ) -> None:
        self.number = number
        """The position among the reports passed."""
        self.id = anchor
        self.test = test
        self.report = report
        self.findings = findings
        self.warnings = warnings
        self.look = LOOKS[report.completion]
        paragraphs = Paragraphs(report)
        flagged = {finding.model for finding in findings}
        warned = {warning.model for warning in warnings}
        self.models = {
            name: _Model(
                id=model_anchor(self.id, name),
                place=place,
                outcome=outcome,
                paragraph=_shortened(paragraphs.of(outcome)),
                flagged=name in flagged,
                warned=name in warned,
                tolerated=name in tolerated,
                file_address=files.address(outcome.file) if files else None,
            )
            for place, (name, outcome) in enumerate(report.outcomes.items())
        }
        for model in self.models.values():
            for name in dict.fromkeys(model.outcome.upstream):
                if name in self.models and name != model.outcome.name:
                    model.up.append(self.models[name])
                    self.models[name].down.append(model)
            for name in dict.fromkeys(model.outcome.blocked_by):
                if name in self.models:
                    model.roots.append(self.models[name])
                    self.models[name].blocks += 1

    @property
    def broken(self) -> bool:
        """Whether the report itself shows that something went wrong."""
        statuses = {model.outcome.status for model in self.models.values()}
        return self.look in ("failed", "interrupted") or bool(statuses & UNEXPECTED_STATUSES)

    @property
    def roots(self) -> list[_Model]:
        """The models that failed, and those that block others."""
        return [model for model in self.models.values() if model.is_root]

    @cached_property
    def graph(self) -> Graph:
        """The drawing of its models."""
        models = self.models.values()
        labels = [visible(short(m.outcome.name)).replace("\n", " ") for m in models]
        return layout(labels, [[parent.place for parent in m.up] for m in models])

    @cached_property
    def schemas(self) -> list[list[_Schema]]:
        """Its models by schema, in rows from the top; empty if there are few models."""
        models = list(self.models.values())
        if len(models) <= _FEW:
            return []
        names = [model.outcome.name for model in models]
        groups = by_schema(names, [[parent.place for parent in m.up] for m in models])
        rows: dict[int, list[_Schema]] = {}
        for place, group in enumerate(groups):
            schema = _Schema(place, group, [models[place] for place in group.models])
            rows.setdefault(group.row, []).append(schema)
        return [rows[row] for row in sorted(rows)]

    @property
    def gantt(self) -> str | None:
        """The bars of its models, as JSON for the script; None if there are fewer than two."""
        chart = gantt(self.report)
        if chart is None or len(chart.bars) < 2:
            return None
        bars = [
            [
                visible(bar.model),
                self.models[bar.model].look,
                bar.start,
                bar.length,
                int(bar.is_critical),
                f"#{self.models[bar.model].id}",
            ]
            for bar in chart.bars
        ]
        return json.dumps({"length": chart.length, "bars": bars})

    @property
    def statuses(self) -> list[tuple[Status, int]]:
        """How many of the counted models have each status."""
        return _counts(Status, (outcome.status for outcome in self.report.counted))

    @property
    def reasons(self) -> list[tuple[Reason, int]]:
        """How many models have each reason among their `reasons`."""
        return _counts(Reason, (r for m in self.models.values() for r in set(m.outcome.reasons)))

    @property
    def causes(self) -> list[tuple[Cause, int]]:
        """How many models have each cause among their `causes`."""
        return _counts(Cause, (c for m in self.models.values() for c in set(m.outcome.causes)))


@dataclass(eq=False)
class _Model:
    """What the templates show of one outcome."""

    id: str
    place: int
    """The position among the models of its invocation, from 0."""
    outcome: ModelOutcome
    paragraph: str
    flagged: bool
    """Whether the gate has a finding about it."""
    warned: bool
    """Whether the gate warns about it."""
    tolerated: bool
    """Whether the gate accepts it for a time."""
    file_address: str | None
    """The address of its file, if there is one."""
    blocks: int = 0
    """The number of models that it blocks."""
    up: list[_Model] = field(default_factory=list)
    down: list[_Model] = field(default_factory=list)
    roots: list[_Model] = field(default_factory=list)

    @property
    def look(self) -> str:
        """The name of the glyph and color: its status, or that it is blocked."""
        blocked = self.outcome.status is Status.SKIPPED and self.outcome.blocked_by
        return "blocked" if blocked else str(self.outcome.status)

    @property
    def is_root(self) -> bool:
        """Whether it failed or blocks others."""
        return self.outcome.status is Status.FAILED or self.blocks > 0

    @property
    def marks(self) -> list[str]:
        """Further facts about it, in a few words each."""
        others = quantity(self.blocks, "blocked model")
        marks = {
            "partial: some of its batches were recorded": self.outcome.partial,
            "stubbed: the test's data replaces its query": self.outcome.stubbed,
            "local edit: the project's definition differs": self.outcome.local_edit,
            f"root cause of {others}" if self.blocks else "root cause": self.is_root,
            "unexpected by the gate": self.flagged,
            "the gate warns about it": self.warned,
            "tolerated by the gate": self.tolerated,
        }
        return [mark for mark, holds in marks.items() if holds]

    @property
    def columns(self) -> set[str]:
        """The columns that any of its batches needs besides interval and status."""
        every = self.outcome.batches
        measured = ("duration", "rows", "bytes")
        numbers = ("round", "audits_passed", "audits_failed")
        return {
            *(name for name in measured if any(getattr(b, name) is not None for b in every)),
            *(name for name in numbers if any(getattr(b, name) for b in every)),
        }

    @property
    def batches(self) -> list[Batch]:
        """The first batches, and all others that were not simply executed."""
        every = enumerate(self.outcome.batches)
        return [b for n, b in every if n < _MOST_BATCHES or b.status is not Status.EXECUTED]


class _Schema(NamedTuple):
    """What the overview shows of one schema."""

    place: int
    """The position among the schemas of its invocation, from 0."""
    group: SchemaGroup
    models: list[_Model]

    @property
    def looks(self) -> list[tuple[str, int]]:
        """How many models have each look, the most urgent first."""
        counter = Counter(
            m.look if m.outcome.is_counted else "not evaluatable" for m in self.models
        )
        return [(look, counter[look]) for look in _URGENT_FIRST if counter[look]]

    @property
    def by_urgency(self) -> list[_Model]:
        """Its models; those that need attention come first."""
        return sorted(self.models, key=lambda model: _URGENT_FIRST.index(model.look))

    @property
    def has_root(self) -> bool:
        """Whether it contains a root cause."""
        return any(model.is_root for model in self.models)


def _most_urgent(invocations: Sequence[_Invocation]) -> _Invocation | None:
    """The first invocation with findings, else broken, else with warnings, else the first."""
    urgent = (
        [i for i in invocations if i.findings]
        or [i for i in invocations if i.broken]
        or [i for i in invocations if i.warnings]
    )
    return next(iter(urgent or invocations), None)


def _by_urgency(findings: Sequence[GateFinding]) -> list[GateFinding]:
    return sorted(findings, key=lambda finding: KINDS.index(finding.kind))


def _counts(words: type[_Word], values: Iterable[_Word]) -> list[tuple[_Word, int]]:
    """The words that occur and how often, in the order of the enum."""
    counter = Counter(values)
    return [(word, counter[word]) for word in words if counter[word]]


def _shortened(paragraph: str) -> str:
    """A paragraph with short lines. The page shows long texts in full elsewhere."""
    return "\n".join(short(line, 300) for line in paragraph.splitlines())

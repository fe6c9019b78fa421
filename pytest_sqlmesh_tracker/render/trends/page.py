"""A history as one self-contained HTML page: models by invocations, complete without its script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pytest_sqlmesh_tracker.history.trends.types import EnvironmentTrend, ModelTrend, Trends
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.process.garbage import collection_paused
from pytest_sqlmesh_tracker.render.page.anchors import model_anchor
from pytest_sqlmesh_tracker.render.page.gantt import gantt
from pytest_sqlmesh_tracker.render.page.model_files import ModelFiles
from pytest_sqlmesh_tracker.render.page.templates import (
    LOOKS,
    environment,
    policy,
    short,
    source,
    visible,
)
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import plain_minute, spans
from pytest_sqlmesh_tracker.wording.invocations import ended

from .rows import TrendRow, audit_label, headline, left_out

MOST_INVOCATIONS = 100
"""How many invocations of an environment the page shows, the latest ones."""
_LONGEST_ERROR = 4_000
"""The number of characters that the page has of an error: it can have an error for each cell."""
_FILES = Path(__file__).parent
_STATUSES = list(Status)


@collection_paused()
def page(
    trends: Trends,
    recent: Mapping[str, Sequence[RunReport]],
    files: ModelFiles | None = None,
) -> str:
    """The page: for each environment what needs attention, and a grid of models by invocations.

    It loads nothing. All times on it are in UTC.

    Args:
        trends: how the models fared over all invocations.
        recent: environment → its latest reports, in the order in which they began.
        files: where the page will be and the files of models are, for links to those that exist.
    """
    sections = [
        _Section(number, trend, recent.get(trend.environment, ()), files)
        for number, trend in enumerate(trends.environments)
    ]
    style = source("page.css") + "\n" + source("grid.css", _FILES)
    script = source("theme.js") + source("gantt.js") + source("grid.js", _FILES)
    return (
        environment(_FILES)
        .get_template("grid.html")
        .render(
            sections=sections,
            left_out=left_out(trends),
            style=style,
            script=script,
            policy=policy(style, script),
        )
    )


@dataclass(frozen=True)
class _Column:
    """An invocation."""

    id: str
    at: str
    """When it began."""
    label: str
    """The day if it is the first one of its day, and the time."""
    report: RunReport

    @property
    def look(self) -> str:
        """The glyph and color of how it ended."""
        return LOOKS[self.report.completion]


class _Section:
    """An environment."""

    def __init__(
        self,
        number: int,
        trend: EnvironmentTrend,
        reports: Sequence[RunReport],
        files: ModelFiles | None,
    ) -> None:
        self.id = f"environment-{number + 1}"
        self.trend = trend
        self.headline = headline(trend)
        self.columns = list(_columns(self.id, reports))
        self.rows = [_Row(self.id, each, reports, files) for each in trend.current]
        self.earlier = trend.invocations - len(reports)

    @property
    def attention(self) -> list[_Row]:
        """The models that need attention; those that fail come first."""
        rows = [row for row in self.rows if row.remarks]
        return sorted(rows, key=lambda row: row.trend.failing_since is None)

    @cached_property
    def data(self) -> Markup:
        """What the script shows of invocations and cells, as JSON."""
        texts = _Texts()
        places = {row.trend.name: place for place, row in enumerate(self.rows)}
        data = {
            "runs": [_run(column, places) for column in self.columns],
            "models": [row.data(texts) for row in self.rows],
            "texts": texts.all,
            "statuses": _STATUSES,
        }
        # In a script element, only `<` could end it.
        return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def _columns(section: str, reports: Sequence[RunReport]) -> Iterator[_Column]:
    day = ""
    for number, report in enumerate(reports):
        at = plain_minute(report.started_at)
        date, _, time = at.partition(" ")
        label = time if date == day else f"{date[5:]} {time}"
        day = date
        yield _Column(f"{section}-{number + 1}", at, label, report)


def _run(column: _Column, places: Mapping[str, int]) -> dict[str, Any]:
    report = column.report
    chart = gantt(report)
    return {
        "at": column.at,
        "words": f"{report.command} {visible(report.environment)}, {ended(report)}",
        "error": visible(short(report.error, _LONGEST_ERROR)) if report.error else "",
        "length": chart.length if chart else 0,
        "bars": [
            [
                places.get(bar.model, visible(bar.model)),
                _STATUSES.index(bar.status),
                bar.start,
                bar.length,
                int(bar.is_critical),
            ]
            for bar in (chart.bars if chart else ())
        ],
    }


class _Texts:
    """Texts, each of which the page has once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """The place of the text among all."""
        return self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> list[str]:
        """All texts, by their places."""
        return [visible(text) for text in self._places]


class _Row:
    """A model."""

    def __init__(
        self,
        section: str,
        trend: ModelTrend,
        reports: Sequence[RunReport],
        files: ModelFiles | None,
    ) -> None:
        self.trend = trend
        self.address = files.address(trend.last.file) if files else None
        self.id = model_anchor(section, trend.name)
        self.words = TrendRow(trend)
        self.remarks = self.words.remarks
        self.outcomes = [report.outcomes.get(trend.name) for report in reports]

    @property
    def look(self) -> str:
        """The glyph and color of its latest outcome."""
        return _look(self.trend.last)

    @property
    def cells(self) -> Markup:
        """Its cells, one for each invocation, whose class is the first letter of its look; without
        one if the model was not part of the invocation. A template would take longer."""
        classes = ("" if each is None else _look(each)[0] for each in self.outcomes)
        return Markup("".join(f"<td class={letter}>" if letter else "<td>" for letter in classes))

    @property
    def points(self) -> str:
        """The durations of its executions in a box of 100 by 20, for a line."""
        took = {
            place: each.duration.total_seconds()
            for place, each in enumerate(self.outcomes)
            if each is not None and each.status is Status.EXECUTED and each.duration is not None
        }
        most, step = max(took.values(), default=0) or 1, 100 / max(1, len(self.outcomes) - 1)
        if len(took) < 2:
            return ""
        return " ".join(f"{place * step:.3g},{19 - 18 * d / most:.3g}" for place, d in took.items())

    def data(self, texts: _Texts) -> dict[str, Any]:
        """What the script shows of the model."""
        passed = [
            {audit_label(audit): audit.passed for audit in each.audits} if each else {}
            for each in self.outcomes
        ]
        audits = list(dict.fromkeys(label for each in passed for label in each))
        cells = zip(self.outcomes, passed, strict=True)
        return {
            "name": visible(self.trend.name),
            "file": [visible(self.trend.last.file or ""), self.address or ""],
            "facts": [["last executed", self.words.last_executed],
                      ["loaded through", self.words.loaded_through],
                      ["executed", self.words.executed], ["failed", self.words.failed],
                      ["usual time", self.words.time], ["attention", visible(self.remarks)]],
            "audits": [visible(label) for label in audits],
            "cells": [
                outcome and _cell(outcome, texts, [passed_by_label.get(label) for label in audits])
                for outcome, passed_by_label in cells
            ],
        }  # fmt: skip


_LETTERS = {True: "p", False: "f", None: "-"}
"""Whether an audit passed; None if it did not run."""


def _cell(outcome: ModelOutcome, texts: _Texts, audits: Sequence[bool | None]) -> list[Any]:
    """Status, message, error, milliseconds, rows, audits, intervals, and the other reasons."""
    error = short(outcome.error, _LONGEST_ERROR) if outcome.error else ""
    took = outcome.duration
    return [
        _STATUSES.index(outcome.status),
        texts.place(outcome.message),
        texts.place(error),
        None if took is None else round(took.total_seconds() * 1000),
        outcome.rows,
        "".join(_LETTERS[passed] for passed in audits),
        texts.place(spans(outcome.executed_intervals)),
        texts.place(", ".join(outcome.reasons[1:])),
    ]


def _look(outcome: ModelOutcome) -> str:
    """The glyph and color: the status, or that something unexpected holds the model back."""
    unexpected = unexpected_by_default(outcome.status, outcome.reason)
    skipped = outcome.status is Status.SKIPPED
    return "blocked" if skipped and unexpected else str(outcome.status)

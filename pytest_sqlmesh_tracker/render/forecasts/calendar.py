"""A forecast as a calendar: one self-contained HTML page, complete even without its script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pytest_sqlmesh_tracker.forecast.results import Forecast, StaleSpan
from pytest_sqlmesh_tracker.render.page.anchors import model_anchor
from pytest_sqlmesh_tracker.render.page.templates import environment, policy, source
from pytest_sqlmesh_tracker.wording.formats import midnight, plain_minute, quantity, spans

from .local import HEADS, local_headline, local_rows
from .rows import Evaluation, ForecastRow, headline, rows_of, stale_words, totals_of

_FILES = Path(__file__).parent
_HOURS = timedelta(days=2)
"""Spans up to this length have a column for each hour."""
_DAYS = timedelta(days=62)
"""Spans up to this length have a column for each day, others for each week."""
_MOST_TITLES = 20_000
"""The number of cells up to which each has a tooltip."""
_LISTED = 50_000
"""About the number of evaluations that the page lists."""
_MOST_LISTED, _FEWEST_LISTED = 500, 24
"""Bounds for the number of evaluations that the page lists of one schedule."""


def calendar(forecast: Forecast) -> str:
    """The page: models in topological order by hour, day or week, and their evaluations.

    A cell shows how many evaluations there are, and failures in red. Models that are evaluated at
    the same times over the same intervals share one list of these. The page loads nothing. All
    times on it are in UTC.
    """
    rows = rows_of(forecast)
    columns = _columns(forecast)
    with_titles = len(rows) * len(columns) <= _MOST_TITLES
    models = {row.model.name: _Model(row, columns, with_titles=with_titles) for row in rows}
    for model in models.values():
        for name in model.row.model.upstream:
            model.reads.append((name, models[name].id if name in models else None))
            if name in models:
                models[name].read_by.append((model.row.model.name, model.id))
    schedules = _schedules(list(models.values()))
    style = source("page.css") + "\n" + source("calendar.css", _FILES)
    script = source("theme.js") + source("calendar.js", _FILES)
    return (
        environment(_FILES)
        .get_template("calendar.html")
        .render(
            forecast=forecast,
            headline=headline(forecast),
            local=forecast.local,
            local_headline=forecast.local and local_headline(forecast.local),
            local_heads=HEADS,
            local_rows=local_rows(forecast.local) if forecast.local else (),
            totals=totals_of(rows),
            columns=columns,
            models=list(models.values()),
            schedules=schedules,
            limit=max(_FEWEST_LISTED, min(_MOST_LISTED, _LISTED // max(1, len(schedules)))),
            style=style,
            script=script,
            policy=policy(style, script),
            plain_minute=plain_minute,
        )
    )


@dataclass(frozen=True)
class _Column:
    """An hour, a day or a week, in UTC."""

    start: datetime
    end: datetime
    label: str
    above: str
    """What is written over the label, if anything."""
    title: str


def _columns(forecast: Forecast) -> list[_Column]:
    """All columns that the span touches; none if it is empty."""
    span = forecast.until - forecast.at
    if span <= _HOURS:
        length, start = timedelta(hours=1), forecast.at.replace(minute=0, second=0, microsecond=0)
    else:
        length = timedelta(days=1 if span <= _DAYS else 7)
        start = forecast.at.replace(hour=0, minute=0, second=0, microsecond=0)
        if length.days == 7:
            start -= timedelta(days=start.weekday())
    columns: list[_Column] = []
    while start <= forecast.until:
        columns.append(_column(start, length, first=not columns))
        start += length
    return columns


def _column(start: datetime, length: timedelta, *, first: bool) -> _Column:
    end = start + length
    day = f"{start:%d} {_MONTHS[start.month - 1]}"
    if length < timedelta(days=1):
        above = day if first or midnight(start) else ""
        return _Column(start, end, f"{start:%H}", above, f"{plain_minute(start)} UTC")
    if length.days == 1:
        return _Column(start, end, day, _WEEKDAYS[start.weekday()], f"{start:%Y-%m-%d}")
    return _Column(start, end, day, f"{start:%Y}", f"the week from {start:%Y-%m-%d}")


# Those of the process's locale can be in another language.
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


@dataclass(frozen=True)
class _Cell:
    """A model in a column."""

    executed: int
    failed: int
    stale: bool
    """Whether the model's data is older than the gate allows, for a part of the time at least."""
    title: str


class _Model:
    """What the template shows of one model."""

    def __init__(self, row: ForecastRow, columns: Sequence[_Column], *, with_titles: bool) -> None:
        self.row = row
        self.id = model_anchor("model", row.model.name)
        self.cells = [] if row.undetermined else list(_cells(row, columns, with_titles))
        self.reads: list[tuple[str, str | None]] = []
        """Names and, of models on the page, their anchors."""
        self.read_by: list[tuple[str, str]] = []
        self.schedule: _Schedule | None = None


def _cells(row: ForecastRow, columns: Sequence[_Column], with_titles: bool) -> list[_Cell]:
    cells = []
    evaluation, failure = 0, 0
    for column in columns:
        executed = []
        while evaluation < len(row.evaluations) and row.evaluations[evaluation].at < column.end:
            executed.append(row.evaluations[evaluation])
            evaluation += 1
        failed = []
        while failure < len(row.failures) and row.failures[failure] < column.end:
            failed.append(row.failures[failure])
            failure += 1
        stale = [
            span
            for span in row.stale
            if span.since < column.end and (span.until is None or column.start < span.until)
        ]
        title = _title(executed, failed, stale) if with_titles else ""
        cells.append(_Cell(len(executed), len(failed), bool(stale), title))
    return cells


def _title(
    executed: Sequence[Evaluation], failed: Sequence[datetime], stale: Sequence[StaleSpan]
) -> str:
    """The first times, with their intervals."""
    lines = [f"{plain_minute(each.at)} UTC: {spans(each.intervals, 2)}" for each in executed[:4]]
    if len(executed) > 4:
        lines.append(f"and {quantity(len(executed) - 4, 'more evaluation')}")
    lines += [f"{plain_minute(at)} UTC: fails" for at in failed[:4]]
    if len(failed) > 4:
        lines.append(f"and {quantity(len(failed) - 4, 'more failure')}")
    lines += map(stale_words, stale[:4])
    return "\n".join(lines)


@dataclass
class _Schedule:
    """What all models have in common that are evaluated at the same times over the same intervals,
    and fail at the same times."""

    id: str
    row: ForecastRow
    """That of the first of them."""
    models: list[_Model] = field(default_factory=list)


def _schedules(models: Sequence[_Model]) -> list[_Schedule]:
    schedules: dict[object, _Schedule] = {}
    for model in models:
        row = model.row
        if row.evaluations or row.failures:
            key = row.evaluations, row.failures
            if key not in schedules:
                schedules[key] = _Schedule(f"schedule-{len(schedules) + 1}", row)
            model.schedule = schedules[key]
            schedules[key].models.append(model)
    return list(schedules.values())

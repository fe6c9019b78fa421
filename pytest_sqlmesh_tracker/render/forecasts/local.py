"""What a plan of the project's files would change, in the words of every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from pytest_sqlmesh_tracker.forecast.results import LocalForecast
from pytest_sqlmesh_tracker.render.markdown_page import Part, code, row, text
from pytest_sqlmesh_tracker.wording.formats import plain_minute, quantity, spans
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.table import new_grid

HEADS = ("model", "change", "a week", "lost", "new", "loaded by the plan")


@dataclass(frozen=True)
class LocalRow:
    """What the plan would change of one model."""

    name: str
    change: str
    """SQLMesh's category of the change; `added`, `removed`, or empty."""
    rate: str
    """Evaluations a week: `7`, or `7 → 1`; `-` if the environment does not have the model."""
    lost: str
    """The first times that would no longer evaluate it, in UTC, and how many more."""
    new: str
    """The first times that would evaluate it only after the plan, in UTC, and how many more."""
    loaded: str
    """What the plan itself would load."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of a table, under `HEADS`."""
        return self.name, self.change, self.rate, self.lost, self.new, self.loaded


def local_rows(local: LocalForecast) -> list[LocalRow]:
    """A row for each model that the plan changes, loads or schedules differently."""
    names = dict.fromkeys([*local.per_week, *local.plan.categories, *local.plan.backfills])
    rows = [_row(local, name) for name in names]
    changed = {*local.ticks_lost, *local.ticks_new, *local.never}
    return [
        each
        for each in rows
        if each.change or each.loaded or "→" in each.rate or each.name in changed
    ]


def _row(local: LocalForecast, name: str) -> LocalRow:
    before, after = local.per_week.get(name, (None, None))
    change = local.plan.categories.get(name, "").replace("_", " ")
    if name in local.per_week and after is None:
        change = "removed" if name in local.removed else change
    elif name in local.added:
        change = "added"
    return LocalRow(
        name=name,
        change=change,
        rate=_rate(before, "never" if name in local.never else after),
        lost=_first(local.ticks_lost.get(name, ())),
        new=_first(local.ticks_new.get(name, ())),
        loaded=spans(local.plan.backfills.get(name, ())),
    )


def _rate(before: int | None, after: int | str | None) -> str:
    if before == after:
        return "" if before is None else _shown(before)
    return f"{_shown(before)} → {_shown(after)}"


def _shown(rate: int | str | None) -> str:
    # Rates are rounded: a monthly model is evaluated as well.
    return "-" if rate is None else str(rate or "< 1")


def _first(times: Sequence[datetime]) -> str:
    if not times:
        return ""
    more = f" and {len(times) - 1:,} more" if len(times) > 1 else ""
    return f"{plain_minute(times[0])}{more}"


def local_headline(local: LocalForecast) -> str:
    """What the plan would do, in one line."""
    if local.plan.fails is not None:
        return f"applying a plan of the project's files would fail: {local.plan.fails}"
    rows = local_rows(local)
    if not rows:
        return "a plan of the project's files would change nothing"
    rarer = [name for name in local.less_often if name not in local.never]
    extents = [f"{len(rarer):,} would be evaluated less often"] if rarer else []
    if local.never:
        extents.append(f"{len(local.never):,} never again")
    number = quantity(len(rows), "model")
    return ": ".join([f"a plan of the project's files would change {number}", *_joined(extents)])


def _joined(words: Sequence[str]) -> list[str]:
    return [", ".join(words)] if words else []


def local_text(local: LocalForecast, limit: int) -> Iterator[RenderableType]:
    """The headline, and a row for each model.

    Args:
        limit: the most rows; a line counts the others.
    """
    style = "bold red" if local.plan.fails is not None else "bold"
    yield Text(printable(local_headline(local)), style=style)
    rows = local_rows(local)
    if not rows:
        return
    grid = new_grid(header=True)
    for head in HEADS:
        grid.add_column(head, overflow="fold")
    for each in rows[:limit]:
        name, *others = each.cells
        grid.add_row(name_of(name), *map(printable, others))
    yield grid
    if len(rows) > limit:
        yield Text(f"not shown: {quantity(len(rows) - limit, 'model')}", style="dim")


def local_markdown(local: LocalForecast) -> Iterator[Part]:
    """The headline, and a table."""
    head = text(local_headline(local))
    yield Part(f"### Plan of the project's files\n\n{head[:1].upper()}{head[1:]}\n\n")
    rows = local_rows(local)
    if rows:
        cells = [row([code(name_of(each.name)), *map(text, each.cells[1:])]) for each in rows]
        yield Part(row(HEADS) + row(["---"] * len(HEADS)), cells, "model")

"""A forecast in Markdown, such as for a pull request's comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sqlmesh_tracker.forecast.results import Forecast
from pytest_sqlmesh_tracker.render.markdown_page import Part, code, page, row, text
from pytest_sqlmesh_tracker.wording.printable import name_of

from .local import local_markdown
from .rows import (
    ForecastRow,
    failures_of,
    headline,
    rows_of,
    staleness_of,
    totals_of,
    why_undetermined,
)

_LIMIT = 65_536
"""The number of characters that a comment on GitHub can have."""


def markdown(forecast: Forecast) -> str:
    """A headline, a table by model, what fails, is too old or undetermined, and the assumptions.

    It is at most as long as a comment can be. Lines say what is left out.
    """
    rows = rows_of(forecast)
    head = f"## SQLMesh: forecast\n\n{text(headline(forecast))}\n\n{totals_of(rows)}\n\n"
    parts = [Part(head)]
    if forecast.local is not None:
        parts += local_markdown(forecast.local)
    parts += _remarks("Failing", failures_of(rows))
    parts += _remarks("Older than the gate allows", staleness_of(rows))
    if rows:
        parts.append(_table(rows))
    parts += _remarks("Undetermined", why_undetermined(rows))
    assumptions = [f"- {text(each)}\n" for each in forecast.assumptions]
    parts.append(Part("### Assumptions\n\n", assumptions, "assumption"))
    return page(parts, limit=_LIMIT)


def _table(rows: Sequence[ForecastRow]) -> Part:
    fails = any(each.failures for each in rows)
    heads = ["model", "cron", "evaluations", "first (UTC)", "last", *["failures"] * fails]
    lines = ["---", "---", "---:", "---", "---", *["---:"] * fails]
    cells = [
        row(
            [
                code(name_of(each.model.name)),
                code(name_of(each.cron)),
                each.number,
                each.first,
                each.last,
                *[each.failed] * fails,
            ]
        )
        for each in rows
    ]
    return Part(row(heads) + row(lines), cells, "model", late=True)


def _remarks(title: str, remarks: Sequence[tuple[str, str]]) -> Iterator[Part]:
    if remarks:
        lines = [f"- {code(name_of(name))}: {text(why)}\n" for name, why in remarks]
        yield Part(f"### {title}\n\n", lines, "model")

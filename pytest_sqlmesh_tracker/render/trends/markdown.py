"""How models fared, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sqlmesh_tracker.history.trends.types import EnvironmentTrend, Timeline, Trends
from pytest_sqlmesh_tracker.render.markdown_page import Part, code, page, row, text
from pytest_sqlmesh_tracker.wording.formats import duration, plain_minute
from pytest_sqlmesh_tracker.wording.printable import name_of
from pytest_sqlmesh_tracker.wording.rows import result

from .rows import COUNTS, HEADS, audits_of, facts, headline, left_out, rows_of, title

_LIMIT = 1_000_000
"""The number of bytes that GitHub shows of a page."""


def overview_page(trends: Trends) -> str:
    """A table for each environment, with a row for each model of its last invocation."""
    parts = [Part("## SQLMesh: history\n\n"), *map(_environment, trends.environments)]
    if left_out(trends):
        parts.append(Part(f"{text(left_out(trends))}\n"))
    return page(parts, limit=_LIMIT)


def _environment(environment: EnvironmentTrend) -> Part:
    lines = [
        row(
            [
                str(each.trend.last.status),
                code(name_of(each.trend.name)),
                each.last_executed,
                each.loaded_through,
                each.executed,
                each.failed,
                each.time,
                text(each.remarks),
            ]
        )
        for each in rows_of(environment)
    ]
    heads = row([*HEADS, "remarks"]) + row(
        ["---:" if head in COUNTS else "---" for head in (*HEADS, "")]
    )
    return Part(f"### {text(headline(environment))}\n\n{heads}", lines, "model")


def timelines_page(models: Sequence[Timeline]) -> str:
    """Each model in full: how it fared in all, its audits, and a row for each invocation."""
    parts = [part for timeline in models for part in _timeline(timeline)]
    return page([Part("## SQLMesh: history\n\n"), *parts], limit=_LIMIT)


def _timeline(timeline: Timeline) -> Iterator[Part]:
    lines = [f"- {head}: {text(value)}\n" for head, value in facts(timeline)]
    lines += [
        f"- audit {code(name_of(each.label))}: {text(each.words)}\n" for each in audits_of(timeline)
    ]
    yield Part(f"### {text(title(timeline))}\n\n", [*lines, "\n"], "fact")
    heads = ["began (UTC)", "command", "status", "intervals or reason", "rows", "time"]
    yield Part(
        row(heads) + row(["---", "---", "---", "---", "---:", "---:"]),
        [
            row(
                [
                    plain_minute(entry.started_at),
                    entry.command,
                    str(entry.outcome.status),
                    text(result(entry.outcome)),
                    "" if entry.outcome.rows is None else f"{entry.outcome.rows:,}",
                    duration(entry.outcome.duration),
                ]
            )
            for entry in timeline.entries
        ],
        "invocation",
    )

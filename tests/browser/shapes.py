"""Reports of projects whose graphs have other shapes: many schemas, wide, deep, unconnected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from pytest_sqlmesh_tracker import ModelOutcome, RunReport
from tests.builders import (
    NOW,
    audit,
    batches,
    executed,
    failed,
    interrupted,
    interval,
    outcome,
    run,
    skipped,
    unknown,
    utc,
)

from .reports import BROKEN

AREAS = ("sales", "marketing", "finance", "logistics", "product", "support", "people", "risk")
NOUNS = (
    "orders",
    "order_items",
    "customers",
    "sessions",
    "invoices",
    "invoice_line_items",
    "shipments",
    "page_view_events",
    "tickets",
    "subscription_monthly_recurring_revenue",
)
LONG_NAME = (
    "finance_marts.subscription_monthly_recurring_revenue_by_country_and_acquisition_channel"
)


def estate(models: int) -> RunReport:
    """A night of a company's project: schemas by layer and area, outcomes of every status."""
    draw = Random(models)
    upstream = _estate(models, draw)
    names = list(upstream)
    root = names[models // 3]
    late = names[models // 4]
    blocked_by: dict[str, tuple[str, ...]] = {}
    outcomes = []
    for place, name in enumerate(names):
        above = [b for parent in upstream[name] for b in (parent, *blocked_by.get(parent, ()))]
        roots = tuple(dict.fromkeys(b for b in above if b in (root, late)))
        if roots and name != root:
            blocked_by[name] = roots
            reason = "upstream_failed" if root in roots else "upstream_not_ready"
            since = utc("2024-01-12")
            outcomes.append(
                skipped(
                    name, reason, blocked_by=roots, upstream=upstream[name], waiting_since=since
                )
            )
        else:
            outcomes.append(_one(name, upstream[name], place, name == root, name == late, draw))
    return run(
        *outcomes,
        completion="failure",
        error=f"NodeExecutionFailedError: Execution failed for node {root}",
        arguments={"environment": "prod", "ignore_cron": False},
        finished_at=NOW + timedelta(seconds=models / 8),
    )


def _estate(models: int, draw: Random) -> dict[str, tuple[str, ...]]:
    """What each model reads: mostly the same area's schema of the layer before, or its own."""
    areas = AREAS[: max(1, min(len(AREAS), models // 12))]
    upstream: dict[str, tuple[str, ...]] = {}
    shares = {"raw": 0.2, "staging": 0.25, "core": 0.2, "intermediate": 0.15, "marts": 0.2}
    before: list[str] = []
    for layer, share in shares.items():
        left = models - len(upstream) if layer == "marts" else max(1, round(models * share))
        made: list[str] = []
        for number in range(left):
            area = areas[number % len(areas)]
            schema = layer if layer in ("raw", "core") else f"{area}_{layer}"
            noun = NOUNS[number // len(areas) % len(NOUNS)]
            name = f"{schema}.{noun}" if layer != "raw" else f"{schema}.{area}_{noun}"
            if layer == "core":
                name = f"core.{area}_{noun}"
            while name in upstream:
                name = f"{schema}.{area}_{noun}_v{draw.randrange(2, 99)}"
            kin = [other for other in before if area in other] or before
            reads = draw.sample(kin, min(len(kin), 1 + draw.randrange(3)))
            if made and draw.random() < 0.25:
                reads.append(draw.choice(made))
            if before and draw.random() < 0.05:
                reads.append(draw.choice(list(upstream)))
            upstream[name] = tuple(dict.fromkeys(reads))
            made.append(name)
        before = made
    last = next(reversed(upstream))
    upstream[LONG_NAME] = upstream.pop(last)
    return upstream


def _one(
    name: str, reads: tuple[str, ...], place: int, root: bool, late: bool, draw: Random
) -> ModelOutcome:
    took = timedelta(seconds=round(draw.random() * 40, 2))
    facts: dict[str, Any] = {"upstream": reads, "loaded_through": utc("2024-01-13")}
    facts["kind"] = draw.choice(["full", "incremental_by_time_range", "view"])
    if root:
        made = batches("executed", "executed", "failed", first="2024-01-11")
        return failed(
            name,
            error=BROKEN,
            partial=True,
            batches=made,
            duration=took,
            waiting_since=utc("2024-01-14"),
            **facts,
        )
    if late:
        feeds = {"partner_feed_has_arrived": (interval("2024-01-12", "2024-01-14"),)}
        since = utc("2024-01-13")
        return skipped(name, "signal_not_ready", signals=feeds, waiting_since=since, **facts)
    if name.startswith("raw.") and place % 3 == 0:
        return skipped(name, "not_evaluatable", upstream=reads, kind="external", cron=None)
    kind = draw.random()
    if kind < 0.15:
        facts |= {"cron": "@weekly", "next_due": utc("2024-01-21")}
        gaps = tuple(interval(f"2024-01-{d:02}", f"2024-01-{d + 1:02}") for d in range(2, 12, 2))
        return skipped(name, "cron_not_due", held_back=gaps, **facts)
    if kind < 0.2:
        return outcome(name, "audited", audits=(audit("accepted_range"),), **facts)
    if kind < 0.22:
        return interrupted(name, **facts)
    if kind < 0.24:
        return unknown(name, **facts)
    made = tuple(
        batch.model_copy(update={"rows": draw.randrange(90_000), "duration": took / 3})
        for batch in batches(*["executed"] * 3, first="2024-01-11")
    )
    facts |= {"loaded_through": utc("2024-01-14"), "rows": sum(b.rows or 0 for b in made)}
    facts |= {"duration": took, "batches": made}
    if kind < 0.3 and reads:
        behind = {reads[0]: (interval("2024-01-12", "2024-01-14"),)}
        return executed(name, causes=("ahead_of_cron",), upstream_behind=behind, **facts)
    if kind < 0.36:
        checks = (audit("not_null"), audit("accepted_values", rows_failed=7, blocking=False))
        return executed(name, causes=("new_interval",), audits=checks, **facts)
    if kind < 0.42:
        left = (interval("2024-01-13", "2024-01-14"),)
        return executed(
            name, reasons=("outside_window",), causes=("new_interval",), held_back=left, **facts
        )
    if kind < 0.5:
        spans = {
            "restated": (interval("2024-01-11", "2024-01-13"),),
            "reloaded": (interval("2024-01-13", "2024-01-14"),),
        }
        by = {"restated_by": (reads[0],)} if reads else {}
        return executed(
            name, causes=("restated", "reloaded"), intervals_by_cause=spans, **by, **facts
        )
    return executed(name, causes=("new_interval",), **facts)


def shaped(*reads: Sequence[int], schema: str = "core") -> RunReport:
    """Models called 0, 1, 2 … by what each reads; all executed, but for the last, which failed."""
    names = [f"{schema}.model_{number}" for number in range(len(reads))]
    made = [
        (failed if number == len(reads) - 1 else executed)(
            names[number], upstream=tuple(names[parent] for parent in parents)
        )
        for number, parents in enumerate(reads)
    ]
    return run(*made, completion="failure")


def wide(models: int = 202) -> RunReport:
    """One source, a layer of all but two of the models, and one that reads them all."""
    middle = range(1, models - 1)
    return shaped((), *[(0,) for _ in middle], tuple(middle))


def deep(models: int = 60) -> RunReport:
    """A chain."""
    return shaped((), *[(number,) for number in range(models - 1)])


def unconnected(models: int = 40) -> RunReport:
    """Models that read nothing."""
    return shaped(*[()] * models)

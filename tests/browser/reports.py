"""Reports of warehouses of any size, drawn with a fixed seed, and hostile ones."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from pytest_sqlmesh_tracker import ModelOutcome, RunReport
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import (
    NOW,
    audit,
    batches,
    executed,
    failed,
    interval,
    outcome,
    run,
    skipped,
    utc,
)

DOMAINS = ("sales", "marketing", "finance", "logistics", "product", "support", "web", "hr")
THINGS = ("orders", "customers", "sessions", "invoices", "shipments", "events", "tickets", "items")
BROKEN = (
    "CatalogException: Column 'currency' does not exist in raw_orders\n"
    "LINE 12:   CAST(o.currency AS TEXT) AS currency,\n"
    "                ^\n"
    "Candidate bindings: country, created_at"
)
MULTIPLY = 3


def warehouse(models: int, *, broken: bool = True) -> RunReport:
    """A run of a project in four layers; broken: one of its models failed and blocks others."""
    draw = Random(models)
    names, upstream = _graph(models, draw)
    root = names[models // 3] if broken else None
    blocked: set[str] = set()
    outcomes = []
    for name in names:
        if root in upstream[name] or blocked & set(upstream[name]):
            blocked.add(name)
        outcomes.append(_outcome(name, upstream[name], root, name in blocked, draw))
    return run(
        *outcomes,
        completion="failure" if broken else "success",
        error=f"NodeExecutionFailedError: {root}" if root else None,
        arguments={"environment": "prod", "ignore_cron": False, "select_models": None},
        finished_at=NOW + timedelta(seconds=models / 8),
    )


def _graph(models: int, draw: Random) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Names in topological order, and what each reads: mostly of its own domain."""
    layers = {"raw": 0.2, "staging": 0.3, "core": 0.25, "marts": 0.25}
    names: list[str] = []
    upstream: dict[str, tuple[str, ...]] = {}
    for layer, share in layers.items():
        left = models - len(names) if layer == "marts" else max(1, round(models * share))
        before = list(names)
        for number in range(left):
            domain = DOMAINS[number % min(8, max(2, models // 16))]
            name = f"{layer}.{domain}_{THINGS[number // 8 % 8]}"
            while name in upstream:
                name = f"{layer}.{domain}_{THINGS[number // 8 % 8]}_{draw.randrange(99)}"
            kin = [other for other in before if f".{domain}_" in other] or before
            reads = draw.sample(kin[-40:], min(len(kin), 1 + draw.randrange(3)))
            if before and draw.random() < 0.1:
                reads.append(draw.choice(before))
            names.append(name)
            upstream[name] = tuple(dict.fromkeys(reads))
    return names, upstream


def _outcome(
    name: str, upstream: tuple[str, ...], root: str | None, blocked: bool, draw: Random
) -> ModelOutcome:
    facts: dict[str, Any] = {"upstream": upstream, "loaded_through": utc("2024-01-13")}
    facts["kind"] = draw.choice(["full", "incremental_by_time_range", "view"])
    took = timedelta(seconds=round(draw.random() * 40, 2))
    if name.startswith("raw."):
        facts = {"upstream": upstream, "kind": "external", "cron": None}
        return skipped(name, "not_evaluatable", **facts)
    if name == root:
        return failed(
            name,
            error=BROKEN,
            partial=True,
            batches=batches("executed", "executed", "failed", first="2024-01-11"),
            audits=(audit("not_null"), audit("unique_values")),
            duration=took,
            **facts,
        )
    if blocked:
        return skipped(name, "upstream_failed", blocked_by=(root,), **facts)
    chance = draw.random()
    if chance < 0.2:
        facts |= {"cron": "@weekly", "next_due": utc("2024-01-21")}
        facts["held_back"] = (interval("2024-01-08", "2024-01-14"),)
        return skipped(name, "cron_not_due", **facts)
    if chance < 0.25:
        signals = {"partner_feed_ready": (interval("2024-01-13", "2024-01-14"),)}
        return skipped(name, "signal_not_ready", signals=signals, **facts)
    if chance < 0.28:
        return outcome(name, "audited", audits=(audit("accepted_range"),), **facts)
    made = [
        batch.model_copy(update={"rows": draw.randrange(90_000), "duration": took / 3})
        for batch in batches(*["executed"] * MULTIPLY, first="2024-01-11")
    ]
    audits = (audit("not_null"), audit("accepted_values", rows_failed=7, blocking=False))
    facts |= {"loaded_through": utc("2024-01-14"), "rows": sum(b.rows or 0 for b in made)}
    return executed(name, batches=tuple(made), audits=audits, duration=took, bytes=10**7, **facts)


def session(invocations: int) -> list[Entry]:
    """The runs of a session's tests; every seventh, from the fourth on, has a failure."""
    return [
        Entry(
            f"tests/test_shop.py::test_night[{number}]",
            warehouse(12 + number % 5, broken=number % 7 == 3),
        )
        for number in range(invocations)
    ]


SCRIPT = "</script></style></pre>--><script>window.hacked = 1</script><img src=x onerror=hacked=1>"
HOSTILE = (
    f'{SCRIPT}"\' onclick="hacked=1" \x1b[31mred\x1b[0m \x00 \u202egnp.exe\u202c '
    "\ud800 {{ 7 * 6 }} {% raw %} javascript:hacked=1 &lt;b&gt;\r\nnext line"
)
LONG = f"{'🦆 quite long ' * 80_000}THE END"
"""A megabyte in one line."""


def hostile() -> RunReport:
    """Whatever a report may hold of text, holds what must neither run nor be lost."""
    evil = failed(
        HOSTILE,
        kind=HOSTILE,
        cron=HOSTILE,
        change_category=HOSTILE,
        message=HOSTILE,
        error=f"{HOSTILE}\n{LONG}",
        signals={HOSTILE: (interval("2024-01-13", "2024-01-14"),)},
        audits=(
            audit(HOSTILE, rows_failed=3).model_copy(update={"arguments": {HOSTILE: HOSTILE}}),
        ),
        upstream=("b", HOSTILE, "javascript:hacked=1", "b"),
    )
    return run(
        evil,
        skipped(
            "b", "upstream_failed", blocked_by=(HOSTILE, "nowhere.to_be_found"), upstream=("c",)
        ),
        skipped("c", "upstream_failed", blocked_by=(HOSTILE,), upstream=("b", HOSTILE)),
        executed("x" * 3000, upstream=("c",)),
        environment=HOSTILE,
        # The halves of surrogate pairs no argument can have: JSON can't.
        arguments={SCRIPT: [SCRIPT, {"\x1b[31m": "\u202e"}]},
        error=HOSTILE,
        completion="failure",
        removed=(HOSTILE,),
    )

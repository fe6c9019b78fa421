"""Outcomes and reports, arranged in a line each: `run(executed("a.x"), skipped("a.y"))`.

What a test does not mention is filled with one plain day of a daily project; messages are those
that the tracker would write.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from pytest_sqlmesh_tracker import AuditOutcome, Batch, ModelOutcome, RunReport, Status
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.reports.assertions import AssertionMethods
from pytest_sqlmesh_tracker.wording.sentences import sentence


def utc(text: str) -> datetime:
    """`2024-01-14` or `2024-01-14 06:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


NOW = utc("2024-01-14 06:30")
ID = UUID(int=1)
YESTERDAY = ("2024-01-13", "2024-01-14")


def interval(start: str, end: str) -> Interval:
    return Interval(utc(start), utc(end))


def batch(start: str, end: str, status: str = "executed", **facts: Any) -> Batch:
    return Batch(**{"index": 0, "start": utc(start), "end": utc(end), "status": status, **facts})


def batches(*statuses: str, first: str = "2024-01-01") -> tuple[Batch, ...]:
    """One daily batch for each status, from the first day on."""
    start, day = utc(first), timedelta(days=1)
    return tuple(
        Batch(index=index, start=start + index * day, end=start + (index + 1) * day, status=status)
        for index, status in enumerate(map(Status, statuses))
    )


def audit(name: str, *, rows_failed: int = 0, blocking: bool = True) -> AuditOutcome:
    """An audit's outcome; it passed when it found no rows."""
    return AuditOutcome(
        name=name, passed=rows_failed == 0, rows_failed=rows_failed, blocking=blocking
    )


def outcome(name: str, status: str, *reasons: str, **facts: Any) -> ModelOutcome:
    """Any outcome; the first reason is the primary one, and so is the first of `causes`."""
    causes = facts.get("causes", ())
    made = ModelOutcome(
        **{
            "name": name,
            "fqn": fqn(name),
            "kind": "full",
            "cron": "@daily",
            "status": status,
            "reason": reasons[0] if reasons else None,
            "reasons": reasons,
            "evidence": dict.fromkeys(reasons, "observed"),
            "cause": causes[0] if causes else None,
            "cause_evidence": dict.fromkeys(causes, "observed"),
            **facts,
        }
    )
    return made if "message" in facts else made.model_copy(update={"message": sentence(made)})


def fqn(name: str) -> str:
    """`sales.orders` → `"wh"."sales"."orders"`."""
    return ".".join(f'"{part}"' for part in ("wh", *name.split(".")))


def executed(name: str, *spans: tuple[str, str], **facts: Any) -> ModelOutcome:
    """Executed: yesterday, or the spans given, a batch each."""
    made = [batch(*span, index=index) for index, span in enumerate(spans or (YESTERDAY,))]
    return outcome(name, "executed", *facts.pop("reasons", ()), **{"batches": made, **facts})


def skipped(name: str, *reasons: str, **facts: Any) -> ModelOutcome:
    return outcome(name, "skipped", *(reasons or ("cron_not_due",)), **facts)


def failed(name: str, *reasons: str, **facts: Any) -> ModelOutcome:
    """Failed: its only batch raised, unless facts say otherwise."""
    facts = {"error": "ValueError: no luck", "batches": batches("failed"), **facts}
    return outcome(name, "failed", *(reasons or ("error",)), **facts)


def partly_failed(name: str, **facts: Any) -> ModelOutcome:
    """The first of two batches was recorded, the second failed."""
    return failed(name, **{"partial": True, "batches": batches("executed", "failed"), **facts})


def audited(name: str, *audits: AuditOutcome, **facts: Any) -> ModelOutcome:
    """Only audits ran, over one batch."""
    return outcome(name, "audited", **{"audits": audits, "batches": batches("audited"), **facts})


def interrupted(name: str, *reasons: str, **facts: Any) -> ModelOutcome:
    return outcome(name, "interrupted", *(reasons or ("aborted",)), **facts)


def unknown(
    name: str, note: str | None = "the tracker lost its place", **facts: Any
) -> ModelOutcome:
    return outcome(name, "unknown", **{"note": note, **facts})


def run(*outcomes: ModelOutcome, **facts: Any) -> RunReport:
    """The report of a run of prod; `command="plan"` and the like say otherwise."""
    return RunReport(
        **{
            "id": ID,
            "command": "run",
            "environment": "prod",
            "execution_time": NOW,
            "started_at": NOW,
            "finished_at": NOW + timedelta(seconds=2),
            "completion": "success",
            "outcomes": {made.name: made for made in outcomes},
            **facts,
        }
    )


class TrackerOf(AssertionMethods):
    """What a tracker is to assertions: something that has a last report."""

    def __init__(self, *reports: RunReport) -> None:
        self.reports = reports

    def _asserted(self) -> RunReport:
        return self.reports[-1]

"""What a report says if it was made from incomplete or unusable facts."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of

NOW = datetime(2024, 1, 9, 12, tzinfo=timezone.utc)


def audit(*reads: str) -> Any:
    """The part of a standalone audit that the report of an unobserved run depends on."""
    return SimpleNamespace(is_model=False, cron="@daily", depends_on=set(reads))


def unheard(nodes: dict[str, Any]) -> Recording:
    """A run that returned, but whose decision was not observed."""
    return Recording(
        command="run", arguments={}, environment="prod",
        started_at=NOW, finished_at=NOW, local_nodes=nodes, returned="success",
    )  # fmt: skip


def test_a_decision_that_was_not_recorded_is_unknown() -> None:
    report = report_of(unheard({"a": audit(), "b": audit("a")}))
    assert report.unknown == {"a", "b"}
    assert report["a"].message == "unknown: the tracker did not see what SQLMesh decided"
    assert list(report.outcomes) == ["a", "b"]


def test_models_that_read_each_other_are_listed_by_name() -> None:
    """A local model can read one of the environment that read a table of its name."""
    report = report_of(unheard({"b": audit("a"), "a": audit("b")}))
    assert list(report.outcomes) == ["a", "b"]


def test_names_that_cannot_be_shortened_stay_unchanged() -> None:
    node = audit()
    node.is_model, node.name, node.dialect = True, "s.x", "no such dialect"
    node.kind = SimpleNamespace(name=SimpleNamespace(value="FULL"), is_symbolic=False)
    report = report_of(unheard({'"wh"."s"."x"': node}))
    assert list(report.outcomes) == ['"wh"."s"."x"']

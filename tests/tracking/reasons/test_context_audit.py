"""`Context.audit`: what was audited, what failed, and what has no audits."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}
SMALL = "AUDIT (name {name}, dialect duckdb{more});\nSELECT * FROM @this_model WHERE id > 10"


@pytest.fixture
def audited(project: Project) -> Project:
    """Models with a blocking, a non-blocking, a skipped and no audit, and a standalone audit."""
    project.write("audits/small.sql", SMALL.format(name="small", more=""))
    project.write("audits/warned.sql", SMALL.format(name="warned", more=", blocking FALSE"))
    project.write("audits/later.sql", SMALL.format(name="later", more=", skip TRUE"))
    project.write(
        "audits/raw.sql",
        "AUDIT (name raw_is_there, standalone TRUE, dialect duckdb);\n"
        "SELECT * FROM a.plain WHERE id > 10",
    )
    for name, audits in {
        "a.checked": "(small, warned, later)",
        "a.warned": "(warned)",
        "a.later": "(later)",
        "a.plain": None,
    }.items():
        project.model(name, "SELECT 1 AS id", **DAILY, **({"audits": audits} if audits else {}))
    project.plan_once("2024-01-09 12:00")
    return project


def spoil(project: Project, name: str) -> None:
    """Write a row that no audit accepts into the table behind a model's view."""
    snapshot = project.context.get_snapshot(name, raise_if_missing=True)
    project.execute(f"INSERT INTO {snapshot.table_name()} VALUES (11)")


def audit(project: Project, **arguments: Any) -> RunReport:
    with at("2024-01-10 12:00"), sqlmesh_run_tracker(project.context) as tracker:
        try:
            project.context.audit(start="2024-01-01", end="2024-01-08", **arguments)
        except Exception:
            assert tracker.last.error
    return tracker.last


def test_models_with_audits_are_audited(audited: Project) -> None:
    report = audit(audited)
    assert report.command == "audit"
    assert report.completion == "success"
    assert report.audited == {"a.checked", "a.warned", "raw_is_there"}
    report.assert_skipped("a.plain", "a.later", reason="no_audits")
    names = {audit.name: (audit.blocking, audit.passed) for audit in report["a.checked"].audits}
    assert names == {"small": (True, True), "warned": (False, True)}
    (batch,) = report["a.checked"].batches
    assert (batch.start.day, batch.end.day, batch.audits_passed) == (1, 9, 2)


def test_a_blocking_audit_that_fails(audited: Project) -> None:
    spoil(audited, "a.checked")
    spoil(audited, "a.warned")
    report = audit(audited)
    report.assert_failed("a.checked", reason="audit_failed")
    report.assert_audit_failed("a.checked", "small")
    report.assert_audit_failed("a.warned", "warned")
    assert "a.warned" in report.audited
    assert report.completion == "failure"
    assert report["a.checked"].error is None
    assert {audit.rows_failed for audit in report["a.checked"].audits} == {1}


def test_models_that_were_not_requested(audited: Project) -> None:
    report = audit(audited, models=["a.warned"])
    assert report.audited == {"a.warned"}
    report.assert_skipped("a.checked", "a.plain", "raw_is_there", reason="not_selected")
    assert report["a.plain"].reasons == ("not_selected", "no_audits")


def test_an_audit_that_raises_interrupts_the_rest(audited: Project) -> None:
    snapshot = audited.context.get_snapshot("a.checked", raise_if_missing=True)
    audited.execute(f"DROP TABLE {snapshot.table_name()} CASCADE")
    report = audit(audited)
    report.assert_failed("a.checked", reason="error", match="does not exist")
    assert report.completion == "failure"
    # Nothing was cut off of what has nothing to audit, whether it was come to or not.
    report.assert_skipped("a.plain", reason="no_audits")
    assert not report.unknown
    assert report.interrupted | report.audited | report.failed | report.skipped == set(
        report.outcomes
    )


def test_requested_models_that_were_interrupted(audited: Project) -> None:
    snapshot = audited.context.get_snapshot("a.checked", raise_if_missing=True)
    audited.execute(f"DROP TABLE {snapshot.table_name()} CASCADE")
    report = audit(audited, models=["a.checked", "A.Warned"])
    report.assert_failed("a.checked")
    assert report.interrupted == {"a.warned"}
    assert report["a.plain"].reasons == ("not_selected", "no_audits")
    report.assert_skipped("a.plain", "a.later", "raw_is_there", reason="not_selected")


def test_models_requested_by_an_exhausted_generator(audited: Project) -> None:
    snapshot = audited.context.get_snapshot("a.checked", raise_if_missing=True)
    assert audit(audited, models=iter(["a.warned"])).audited == {"a.warned"}
    audited.execute(f"DROP TABLE {snapshot.table_name()} CASCADE")
    report = audit(audited, models=iter(["a.checked", "a.warned"]))
    assert report.unknown == set(report.outcomes) - {"a.checked"}
    assert "the tracker could not determine which models" in report["a.plain"].message


def test_models_requested_as_objects(audited: Project) -> None:
    model = audited.context.get_model("a.warned", raise_if_missing=True)
    report = audit(audited, models=[model])
    assert report.audited == {"a.warned"}
    assert report.arguments["models"] == [model.fqn]


def test_a_model_that_was_never_planned(audited: Project) -> None:
    audited.model("a.new", "SELECT 1 AS id", audits="(small)", **DAILY)
    audited.reload()
    report = audit(audited, models=["a.new"])
    report.assert_failed("a.new", match="has not been versioned")


def test_an_unknown_name(audited: Project) -> None:
    report = audit(audited, models=["a.typo"])
    assert report.completion == "raised"
    assert report.by_reason == {"command_failed": frozenset(report.outcomes)}

"""dbt tests of every kind: each is in reports once, under its dbt name, and fails on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import GatePolicy, RunReport, Sandbox, UnknownModelError

NIGHT = "2024-01-06 06:00"
ACCEPTED = (
    "accepted_values_orders_status__placed__shipped__returned__cancelled__waiting_for_the_payment"
)
REFERS = "relationships_orders_customer__id__ref_people_"

Found = tuple[bool, int]
"""Whether a test blocks, and how many rows it found."""
OF_MODELS: dict[str, dict[str, Found]] = {
    "main_raw.customers": {"unique_customers_id": (True, 0), "not_null_customers_id": (False, 1)},
    "main.people": {"unique_people_id": (True, 0), "not_null_people_id": (False, 1)},
    "main.orders": {
        "not_null_orders_id": (True, 0),
        "orders_are_told_apart": (True, 0),
        ACCEPTED: (False, 1),
        "at_least_orders_amount__0": (False, 1),
        "at_least_orders_amount___5": (True, 0),
        "first_is_big": (False, 1),
        "is_even": (False, 1),
    },
    "main.contracted": {"not_null_contracted_id": (True, 0)},
    "main.keyed": {"unique_keyed_id": (True, 0)},
    "main.appended": {"not_null_appended_id": (True, 0)},
    "main.days": {"not_null_days_day": (True, 0)},
    "main.names": {},
    "main.known": {},
}
STANDALONE: dict[str, Found] = {
    "of_one_model": (False, 1),
    "of_two_models": (False, 1),
    "that_warns": (False, 1),
    "of_a_source": (False, 0),
    "of_nothing": (False, 0),
    "days_are_days": (False, 0),
    "source_not_null_crm_leads_id": (False, 1),
    "source_unique_crm_leads_id": (False, 0),
    "not_null_names_id": (False, 0),
}
RELATIONSHIPS: dict[str, Found] = {REFERS: (False, 1), "buyers_are_people": (False, 1)}


@dataclass(frozen=True)
class Expected:
    """What each test is to find: those of models, by model, and those that stand alone."""

    of_models: dict[str, dict[str, Found]]
    standalone: dict[str, Found]

    @property
    def names(self) -> set[str]:
        """Of everything that a report lists."""
        return self.of_models.keys() | self.standalone.keys()


@pytest.fixture
def expected(sqlmesh_project: Sandbox) -> Expected:
    # SQLMesh's first versions take them for audits of the model that they are written at.
    audits = sqlmesh_project.context.standalone_audits.values()
    if REFERS in {audit.name for audit in audits}:
        return Expected(OF_MODELS, STANDALONE | RELATIONSHIPS)
    orders = OF_MODELS["main.orders"] | RELATIONSHIPS
    return Expected(OF_MODELS | {"main.orders": orders}, STANDALONE)


@pytest.fixture
def sqlmesh_project(_of_every_sort: None, sqlmesh_project: Sandbox) -> Sandbox:
    return sqlmesh_project


@pytest.fixture
def _of_every_sort(request: pytest.FixtureRequest, every_sort: Path) -> None:
    setup = every_sort / "leads.sql"
    marker = pytest.mark.sqlmesh_project(every_sort, at="2024-01-05 06:00", setup=setup)
    request.node.add_marker(marker)


def ran(report: RunReport, name: str) -> dict[str, Found]:
    audits = report[name].audits
    assert len(audits) == len({audit.name for audit in audits})
    assert all(audit.passed is (audit.rows_failed == 0) for audit in audits)
    return {audit.name: (audit.blocking, audit.rows_failed) for audit in audits}


def test_every_test_is_reported_once(sqlmesh_project: Sandbox, expected: Expected) -> None:
    report = sqlmesh_project.run(at=NIGHT)

    assert set(report.outcomes) == expected.names
    assert not report.by_reason["not_in_environment"]
    models = expected.of_models.keys() - {"main_raw.customers"}  # loaded already
    assert {name: ran(report, name) for name in models} == {
        n: expected.of_models[n] for n in models
    }
    assert report.audited == expected.standalone.keys()
    assert {name: ran(report, name)[name] for name in expected.standalone} == expected.standalone


@pytest.mark.sqlmesh_project(plan=False)
def test_the_first_plan_runs_every_test(sqlmesh_project: Sandbox, expected: Expected) -> None:
    report = sqlmesh_project.plan()

    assert set(report.outcomes) == expected.names
    assert {name: ran(report, name) for name in expected.of_models} == expected.of_models
    assert report.audited == expected.standalone.keys()
    assert GatePolicy().evaluate(report).passed


def test_a_second_plan_has_nothing_to_do(sqlmesh_project: Sandbox, expected: Expected) -> None:
    report = sqlmesh_project.plan()

    assert set(report.outcomes) == expected.names
    assert GatePolicy().evaluate(report).passed


def test_context_audit_knows_their_names(sqlmesh_project: Sandbox, expected: Expected) -> None:
    sqlmesh_project.context.audit(start="2024-01-04", end="2024-01-05")

    report = sqlmesh_project.tracker.last
    assert {name: ran(report, name) for name in expected.of_models} == expected.of_models
    assert {name: ran(report, name)[name] for name in expected.standalone} == expected.standalone


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("main.orders", "not_null_orders_id"),
        ("main.orders", "orders_are_told_apart"),
        ("main.orders", "at_least_orders_amount___5"),
        ("main.people", "unique_people_id"),
        ("main.keyed", "unique_keyed_id"),
        ("main.days", "not_null_days_day"),
    ],
)
def test_a_blocking_test_fails_on_request(sqlmesh_project: Sandbox, model: str, name: str) -> None:
    sqlmesh_project.fail(model, audit=name)

    report = sqlmesh_project.run(at=NIGHT)

    report.assert_audit_failed(model, name)
    report.assert_failed(model, reason="audit_failed")
    assert name in report[model].message
    assert not GatePolicy().evaluate(report).passed


@pytest.mark.parametrize(
    "name", ["of_a_source", "days_are_days", "source_unique_crm_leads_id", "of_nothing"]
)
def test_a_singular_test_fails_on_request(sqlmesh_project: Sandbox, name: str) -> None:
    sqlmesh_project.fail(name)

    report = sqlmesh_project.run(at=NIGHT)

    report.assert_audit_failed(name)
    report.assert_audit_failed(name, name)
    assert report[name].status == "audited"


def test_a_name_that_sqlmesh_extended_means_the_same_test(sqlmesh_project: Sandbox) -> None:
    (audit,) = (
        audit.name
        for audit, _ in sqlmesh_project.context.models[
            '"warehouse"."main"."orders"'
        ].audits_with_args
        if audit.name.startswith("orders_are_told_apart")
    )
    sqlmesh_project.fail("main.orders", audit=audit)

    report = sqlmesh_project.run(at=NIGHT)

    report.assert_audit_failed("main.orders", "orders_are_told_apart")


def test_a_disabled_test_is_not_reported(sqlmesh_project: Sandbox) -> None:
    with pytest.raises(UnknownModelError, match="never_run"):
        sqlmesh_project.fail("main.orders", audit="never_run")
    with pytest.raises(UnknownModelError, match="turned_off"):
        sqlmesh_project.fail("turned_off")


def test_a_failed_non_blocking_test_can_be_denied(
    sqlmesh_project: Sandbox, expected: Expected
) -> None:
    policy = GatePolicy(rules=[{"models": "of_two_models", "deny": ["nonblocking_audit_failed"]}])

    verdict = policy.evaluate(sqlmesh_project.run(at=NIGHT))

    (finding,) = verdict.findings
    assert "of_two_models" in finding.message
    warned = "\n".join(warning.message for warning in verdict.warnings)
    assert {name for name in expected.standalone if name in warned} == {
        name for name, (_, rows) in expected.standalone.items() if rows and name != "of_two_models"
    }


def test_a_test_of_a_failed_model_is_skipped(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("main.orders")

    report = sqlmesh_project.run(at=NIGHT)

    report.assert_skipped("of_one_model", "of_two_models", reason="upstream_failed")
    assert report["of_two_models"].blocked_by == ("main.orders",)


def test_an_edited_test_is_a_local_edit(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.write("tests/of_nothing.sql", "select 2 as n where false")
    sqlmesh_project.write("tests/not_planned.sql", "select 1 as n where false")

    report = sqlmesh_project.run(at=NIGHT)

    assert {name for name, each in report.outcomes.items() if each.local_edit} == {"of_nothing"}
    assert report.by_reason["not_in_environment"] == {"not_planned"}


def test_nothing_is_written_outside(
    sqlmesh_project: Sandbox,
    every_sort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sqlmesh_project.run(at=NIGHT)

    left = {entry.name for entry in every_sort.iterdir()}
    assert left == {
        "config.py", "profiles.yml", "dbt_project.yml", "leads.sql",
        "seeds", "snapshots", "models", "tests", "dbt_packages",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert (sqlmesh_project.path / "target").is_dir()

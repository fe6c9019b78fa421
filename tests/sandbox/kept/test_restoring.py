"""A restored template behaves as one that was just planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport, Sandbox
from tests.postgres import installed_programs
from tests.projects import Project

from .sessions import CONFIG, CONFIGS, Sessions, write_shop

MODELS = ("prices", "taxed", "days", "doubled", "shown", "counted")

DEARER = """
from sqlmesh import macro

FACTOR = 5

@macro()
def with_tax(evaluator, column):
    return f"{column} * 7"
"""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="module", params=[*CONFIGS])
def engine(request: pytest.FixtureRequest) -> str:
    """Where the databases of the user's project are."""
    if "postgres" in request.param:
        installed_programs("machine")
    engine: str = request.param
    return engine


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"), engine)


@pytest.fixture(scope="module")
def seen(sessions: Sessions, shop: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything that a test can see, of the template as it was planned, and restored."""
    both = []
    for reused in (False, True):
        with sessions.sandbox(shop) as (sandbox, use):
            assert use.not_kept is None
            assert (use.planned is not None) is reused
            both.append(_everything(sandbox))
    return both[0], both[1]


def _everything(sandbox: Sandbox) -> dict[str, Any]:
    context = sandbox.context
    seen: dict[str, Any] = {
        "begins": sandbox.now.replace(microsecond=0),
        "fingerprints": {n: s.fingerprint for n, s in context.snapshots.items()},
        "versions": {n: s.version for n, s in context.snapshots.items()},
        "columns": {n: model.columns_to_types for n, model in context.models.items()},
        "sql": {
            m: context.render(f"shop.{m}").sql() for m in MODELS if m not in ("prices", "counted")
        },
        "paths": {
            n: m._path and m._path.relative_to(sandbox.path) for n, m in context.models.items()
        },
        "rules": sorted(str(v.violation_msg) for v in context.lint_models(raise_on_error=False)),
        "macros": sorted(name for name in context._macros if "tax" in name),
        "rows": _rows(sandbox),
        "sql time": sandbox.fetch("SELECT CAST(CURRENT_DATE AS TEXT)"),
        "again": _outcomes(sandbox.plan()),
        "next day": _outcomes(sandbox.run(at="+1 day")),
        "later rows": _rows(sandbox),
        "forked": _of_fork(sandbox),
    }
    sandbox.fail("shop.taxed")
    seen["failing"] = _outcomes(sandbox.run(at="+1 day"))
    sandbox.write("macros/prices.py", DEARER)
    sandbox.write("models/new.sql", "MODEL (name shop.new); SELECT count(*) AS n FROM shop.taxed")
    seen["written"] = _outcomes(sandbox.plan("dev", include_unmodified=True))
    return seen


def _of_fork(sandbox: Sandbox) -> Any:
    """What a fork sees after a run of its own, and that the sandbox does not see it."""
    with sandbox.copy() as fork:
        return _outcomes(fork.run(at="+1 day")), _rows(fork), _rows(sandbox)


def _rows(sandbox: Sandbox) -> dict[str, list[Any]]:
    return {m: sorted(sandbox.fetch(f"SELECT * FROM shop.{m}")) for m in MODELS}


def _outcomes(report: RunReport) -> Any:
    """A report without what differs each time."""
    return {
        name: (
            each.status,
            each.reasons,
            each.causes,
            each.change_category,
            each.error,
            each.blocked_by,
        )
        for name, each in report.outcomes.items()
    }


@pytest.mark.long
@pytest.mark.parametrize(
    "what",
    ["begins", "fingerprints", "versions", "columns", "sql", "paths", "rules", "macros", "rows",
     "sql time", "again", "next day", "later rows", "forked", "failing", "written"],
)  # fmt: skip
def test_it_is_the_same(seen: tuple[dict[str, Any], dict[str, Any]], what: str) -> None:
    planned, restored = seen
    assert restored[what] == planned[what]
    assert planned[what]


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        {"select": "shop.taxed"},
        {"plan": False},
        {"environment": "dev"},
        {"tick": False},
        {"state": "empty"},
        {"gateway": "local"},
    ],
    ids=str,
)
def test_every_option_is_restored(
    sessions: Sessions, shop: Path, arguments: dict[str, Any]
) -> None:
    both: list[tuple[Any, ...]] = []
    for reused in (False, True):
        with sessions.sandbox(shop, **arguments) as (sandbox, use):
            assert use.not_kept is None
            assert (use.planned is not None) is reused
            planned = _outcomes(sandbox.plan())
            both.append((sorted(sandbox.context.models), planned))
            sandbox.write(
                "models/prices.sql", "MODEL (name shop.prices); SELECT 1 AS id, 2 AS price"
            )
            both[-1] += (_outcomes(sandbox.plan()), _outcomes(sandbox.run(at="+1 day")))
    assert both[0] == both[1]


@pytest.mark.long
def test_a_partial_plan_of_two_paths_is_restored(
    sessions: Sessions, shop: Path, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other")
    other.write("config.yaml", f"{CONFIG}project: other")
    other.model("other.broken", "SELECT error(id::text) AS id FROM shop.taxed", cron="'@daily'")
    other.model("other.good", "SELECT id FROM shop.taxed", cron="'@daily'")
    both = []
    for reused in (False, True):
        with sessions.sandbox([shop, other.path], plan="partial") as (sandbox, use):
            assert use.not_kept is None
            assert (use.planned is not None) is reused
            assert "left out other.broken" in " ".join(sandbox.hints)
            both.append([_outcomes(sandbox.run(at="+1 day")), _outcomes(sandbox.plan())])
    assert both[0] == both[1]


@pytest.mark.long
def test_rows_arrive_over_time(sessions: Sessions, tmp_path: Path) -> None:
    project = Project(tmp_path / "late")
    project.write("config.yaml", CONFIG)
    project.write(
        "external_models.yaml", "- {name: raw.events, columns: {id: int, seen_at: timestamp}}\n"
    )
    project.model("late.ids", "SELECT id FROM raw.events", kind="VIEW")
    for reused in (False, True):
        with sessions.sandbox(project.path, arrivals={"raw.events": "seen_at"}) as (sandbox, use):
            assert (use.planned is not None) is reused
            sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-06"}])
            assert sandbox.rows("late.ids") == []
            sandbox.travel("2024-01-06")
            assert sandbox.rows("late.ids") == [{"id": 1}]

"""A failed non-blocking audit: how each command shows it, and how rules treat it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Typed

WARNING = "warning: shop.weekly has a failed non-blocking audit: is_large (1 row)"
IN_TABLE = "a non-blocking audit failed: is_large (1"
"""The rest is on the next line where the engine counts rows, which have a column of their own."""
WORDS = f"{IN_TABLE} row)"
AUDIT = "AUDIT (name is_large, blocking false);\n\nSELECT * FROM @this_model WHERE n < 1000\n"


@pytest.fixture(autouse=True)
def audited_shop(shop: Path) -> Path:
    """shop.weekly has an audit that always fails, and is planned anew."""
    (shop / "audits").mkdir()
    (shop / "audits" / "is_large.sql").write_text(AUDIT)
    model = shop / "models" / "shop.weekly.sql"
    text = model.read_text().replace("kind FULL", "kind FULL, audits (is_large)")
    model.write_text(text.replace("COUNT(*)", "COUNT(*) + 1"))
    return shop


def plan(typed: Typed, *arguments: str, code: int = 0) -> str:
    """What is printed of a plan that evaluates shop.weekly."""
    ended = typed("plan", "--auto-apply", "--no-prompts", *arguments, when="2024-01-09 00:10")
    assert ended.code == code, ended.out + ended.err
    return " ".join(ended.out.partition("\nplan prod")[2].split())


@pytest.fixture(scope="module")
def night_of_one_plan() -> list[str]:
    """The report file of the plan that all tests of the gate judge, once there is one."""
    return []


@pytest.fixture
def night(typed: Typed, night_of_one_plan: list[str]) -> None:
    """`night.json` has the report of such a plan."""
    if not night_of_one_plan:
        plan(typed, "--report", "night.json")
        night_of_one_plan.append(Path("night.json").read_text())
    Path("night.json").write_text(night_of_one_plan[0])


def gate(typed: Typed, rule: str) -> tuple[int, str]:
    """Exit code and output of the gate with this rule for shop.weekly."""
    table = f"[[tool.sqlmesh_tracker.gate.rules]]\nmodels = 'shop.weekly'\n{rule}\n"
    Path("policy.toml").write_text(table)
    ended = typed("gate", "night.json", "--policy", "policy.toml")
    return ended.code, ended.out + ended.err


def test_a_plan_shows_a_failed_audit_with_a_warning(typed: Typed) -> None:
    printed = plan(typed)
    assert IN_TABLE in printed
    assert WARNING in printed
    assert printed.endswith("gate passed: 4 outcomes in 1 report, 1 warning")


def test_a_plan_fails_if_a_rule_denies_the_failed_audit(typed: Typed) -> None:
    rule = "models = 'shop.*'\ndeny = ['nonblocking_audit_failed']\n"
    Path("pyproject.toml").write_text(f"[[tool.sqlmesh_tracker.gate.rules]]\n{rule}")
    printed = plan(typed, code=1)
    assert "gate failed: 1 failed non-blocking audit (4 outcomes in 1 report)" in printed


@pytest.mark.long
def test_every_report_format_shows_the_failed_audit(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(Path("summary.md").absolute()))
    plan(typed, "--report", "night.json", "--report", "night.html", "--github-summary")
    for page in ("night.html", "summary.md"):
        text = Path(page).read_text().replace("\\", "")
        assert text.count("is_large") > 1, page
        assert "1 warning" in text
    shown = typed("show", "night.json")
    assert IN_TABLE in " ".join(shown.out.split())
    explained = typed("show", "night.json", "--model", "shop.weekly")
    assert (
        f"shop.weekly was executed in 1 batch: first load after a breaking change; {WORDS}\n"
        in (explained.out)
    )
    assert "  audit       is_large (non-blocking), 1 row failed\n" in explained.out


@pytest.mark.usefixtures("night")
def test_the_gate_judges_by_rules(typed: Typed) -> None:
    passed = "gate passed: 4 outcomes in 1 report"
    denied = "gate failed: 1 failed non-blocking audit (4 outcomes in 1 report)"
    assert gate(typed, "allow = ['nonblocking_audit_failed']") == (0, f"{passed}\n")
    code, printed = gate(typed, "deny = ['nonblocking_audit_failed']")
    assert (code, printed.splitlines()[-1]) == (1, denied)
    code, printed = gate(typed, "deny = ['nonblocking_audit_failed']\nseverity = 'warning'")
    assert (code, printed.splitlines()[-1]) == (0, f"{passed}, 1 warning")
    code, printed = gate(typed, "deny = ['audit_failed']")
    assert (code, printed.splitlines()[-1]) == (0, f"{passed}, 1 warning")


@pytest.mark.usefixtures("night")
def test_an_unknown_fact_in_a_rule(typed: Typed) -> None:
    code, printed = gate(typed, "deny = ['non_blocking_audit_failed']")
    assert code == 2
    assert "did you mean nonblocking_audit_failed" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.usefixtures("night")
def test_the_gate_in_json(typed: Typed) -> None:
    result = json.loads(typed("gate", "night.json", "--json").out)
    assert (result["passed"], result["findings"]) == (True, [])
    [warning] = result["warnings"]
    assert (warning["kind"], warning["severity"]) == ("nonblocking_audit_failed", "warning")
    assert (warning["model"], warning["audit"]) == ("shop.weekly", "is_large")

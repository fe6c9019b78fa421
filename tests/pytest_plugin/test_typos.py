"""A typo in a test is one clear line below the test's own, without frames of the library."""

from __future__ import annotations

import pytest

from tests.builders import audit, executed, failed, run, skipped

REPORT = run(
    executed("a.x"),
    skipped("a.y"),
    failed("a.z", "audit_failed", audits=[audit("positive", rows_failed=2)]),
)
TYPOS = {
    "assert_skipped(REPORT, 'a.y', reason='cron_not_du')": (
        "ValueError: 'cron_not_du' is not a reason; did you mean cron_not_due?"
    ),
    "REPORT.assert_skipped('a.y', reason='cron_not_du')": (
        "ValueError: 'cron_not_du' is not a reason; did you mean cron_not_due?"
    ),
    "REPORT.assert_failed('a.z', reason='audit_faild')": (
        "ValueError: 'audit_faild' is not a reason; did you mean audit_failed, *"
    ),
    "assert_outcomes(REPORT, {'a.y': 'skiped'})": (
        "ValueError: 'skiped' is neither a status nor a reason; did you mean skipped?"
    ),
    "REPORT.by_reason['cron_not_du']": (
        "KeyError: \"'cron_not_du' is not a reason; did you mean cron_not_due?\""
    ),
    "REPORT['a.yy']": "*UnknownModelError: no model 'a.yy' in the report; did you mean a.y?",
    "REPORT.explain('a.yy')": "*UnknownModelError: no model 'a.yy' in the report; did you mean *",
    "assert_executed(REPORT, 'a.yy')": "*UnknownModelError: no model 'a.yy' in the report; did *",
    "assert_audit_failed(REPORT, 'a.z', 'positiv')": (
        "AssertionError: a.z ran no audit 'positiv' (did you mean positive?): it failed, a *"
    ),
    "assert_skipped(REPORT, 'a.y', reasn='cron_not_due')": (
        "TypeError: assert_skipped() got an unexpected keyword argument 'reasn'*"
    ),
    "REPORT.assert_outcomes({'a.y': 'skipped'}, exakt=True)": (
        "TypeError: AssertionMethods.assert_outcomes() got an unexpected keyword argument 'exakt'*"
    ),
    "assert_failed(REPORT, 'a.z', match='(')": (
        "ValueError: match='(' is not a regular expression: missing ), unterminated subpattern *"
    ),
    "assert_executed(REPORT, 'a.x', intervals=('2024-13-01', '2024-01-02'))": (
        "ValueError: '2024-13-01' is not an ISO date or time"
    ),
    "assert_skipped('a.y')": (
        "TypeError: the first argument must be a Tracker or a RunReport, not str"
    ),
    "assert_executed(REPORT)": "TypeError: assert_executed needs at least one model; to *",
}


def test_pytest_shows_the_users_line_alone(pytester: pytest.Pytester) -> None:
    pytester.makefile(".json", report=REPORT.to_json())
    lines = [f"def test_{number}():\n    {typo}\n" for number, typo in enumerate(TYPOS)]
    pytester.makepyfile(
        "from pathlib import Path\nfrom pytest_sqlmesh_tracker import *\n"
        "REPORT = RunReport.from_json(Path('report.json').read_text())\n" + "\n".join(lines)
    )
    result = pytester.runpytest("-q", "-p", "no:xdist")
    result.assert_outcomes(failed=len(TYPOS))
    shown = [line for line in result.outlines if line.startswith(("E ", ">"))]
    for typo, message in TYPOS.items():
        place = next(n for n, line in enumerate(shown) if line.endswith(typo))
        pytest.LineMatcher([shown[place + 1].removeprefix("E").strip()]).fnmatch_lines(
            [message.replace("[", "[[]")]
        )
    library = [line for line in result.outlines if "pytest_sqlmesh_tracker/" in line]
    assert library == []

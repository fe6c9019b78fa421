"""Reports as a JUnit XML file: what CI shows as failed, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.render.junit_file import suites
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import audited, executed, failed, interrupted, run, skipped, unknown, utc
from tests.drawing import reports, texts, unhurried

NIGHT = run(
    executed("web.views", duration=timedelta(seconds=1.25)),
    failed("sales.orders"),
    skipped("sales.daily", "upstream_failed", blocked_by=("sales.orders",)),
    skipped("sales.weekly", next_due=utc("2024-01-21")),
    audited("sales.checks"),
    skipped("raw.rates", "not_evaluatable", kind="external"),
    completion="failure",
)
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
"""What every reader of JUnit files takes: the common part of Jenkins' and Surefire's schemas."""
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def parsed(*reports: RunReport, policy: GatePolicy | None = None) -> ElementTree.Element:
    result = policy.evaluate(*reports) if policy else None
    return ElementTree.fromstring(suites([Entry(None, report) for report in reports], result))


def verdicts(root: ElementTree.Element) -> dict[str, list[str]]:
    """Case → what it is: nothing where it passed."""
    return {
        str(case.get("name")): [child.tag for child in case if child.tag != "system-out"]
        for case in root.iter("testcase")
    }


def verdict(root: ElementTree.Element, name: str) -> ElementTree.Element:
    [case] = [case for case in root.iter("testcase") if case.get("name") == name]
    [child] = case
    return child


def test_a_suite_is_an_invocation_and_a_case_is_a_model() -> None:
    root = parsed(NIGHT)
    [suite] = root
    assert suite.attrib == {
        "name": "run of prod",
        "timestamp": "2024-01-14T06:30:00",
        "time": "2.000",
        "tests": "5",
        "failures": "1",
        "errors": "0",
        "skipped": "2",
    }
    assert root.attrib == {"name": "sqlmesh", "tests": "5", "failures": "1", "errors": "0"}
    assert verdicts(root) == {
        "web.views": [],
        "sales.orders": ["failure"],
        "sales.daily": ["skipped"],
        "sales.weekly": ["skipped"],
        "sales.checks": [],
    }
    views = next(root.iter("testcase"))
    assert views.attrib == {"name": "web.views", "classname": "run.prod", "time": "1.250"}


def test_a_skip_has_its_reason_in_words() -> None:
    skip = verdict(parsed(NIGHT), "sales.weekly")
    assert skip.attrib == {"message": "its cron was not due, next due 2024-01-21 00:00 UTC"}


def test_a_failure_is_explained() -> None:
    failure = verdict(parsed(NIGHT), "sales.orders")
    assert failure.attrib == {
        "type": "error",
        "message": "failed: its evaluation raised ValueError: no luck",
    }
    assert failure.text == NIGHT.explain("sales.orders")


@pytest.mark.parametrize("outcome", [interrupted("sales.orders"), unknown("sales.orders")])
def test_interrupted_and_unknown_models_are_errors(outcome: object) -> None:
    report = run(outcome, completion="interrupted")  # type: ignore[arg-type]
    for policy in (None, GatePolicy()):
        assert verdicts(parsed(report, policy=policy)) == {"sales.orders": ["error"]}


def test_the_properties_of_a_suite() -> None:
    plan = run(
        executed("web.views"),
        command="plan",
        environment="dev",
        completion="raised",
        error="PlanError: no",
        removed=("web.clicks",),
    )
    root = ElementTree.fromstring(suites([Entry("test_shop.py::test_it", plan)]))
    assert {each.get("name"): each.get("value") for each in root.iter("property")} == {
        "sqlmesh_command": "plan",
        "sqlmesh_environment": "dev",
        "sqlmesh_execution_time": "2024-01-14 06:30 UTC",
        "sqlmesh_completion": "raised",
        "sqlmesh_error": "PlanError: no",
        "test": "test_shop.py::test_it",
        "sqlmesh_executed": "web.views",
        "sqlmesh_removed": "web.clicks",
    }
    assert root[0].get("name") == "plan of dev, in test_shop.py::test_it"
    assert {case.get("classname") for case in root.iter("testcase")} == {
        "test_shop.py::test_it.plan.dev"
    }


def test_cases_of_several_invocations_are_distinguished() -> None:
    # GitLab shows but one of several cases with the same names.
    root = parsed(NIGHT, run(executed("web.views")), run(executed("web.views"), environment="dev"))
    assert [suite.get("name") for suite in root] == ["run of prod", "run of prod (2)", "run of dev"]
    classes = [case.get("classname") for case in root.iter("testcase")]
    assert classes == [*["run.prod"] * 5, "run.prod (2)", "run.dev"]
    assert root.get("tests") == "7"


class TestGate:
    def test_an_unexpected_skip_is_a_failure(self) -> None:
        root = parsed(NIGHT, policy=GatePolicy())
        assert [name for name, tags in verdicts(root).items() if tags == ["failure"]] == [
            "sales.orders",
            "sales.daily",
        ]
        failure = verdict(root, "sales.daily")
        assert failure.get("type") == "upstream_failed"
        assert failure.get("message") == "skipped: an upstream model failed (sales.orders)"

    def test_a_denied_outcome_is_reported_with_the_rule(self) -> None:
        rules: list[dict[str, Any]] = [
            {"models": "web.views", "deny": ["executed"], "why": "it is frozen"},
            {"models": "raw.rates", "deny": ["skipped"]},
        ]
        root = parsed(NIGHT, policy=GatePolicy(rules))
        failure = verdict(root, "web.views")
        assert failure.get("type") == "executed"
        assert "it is frozen" in str(failure.get("message"))
        assert str(failure.text).startswith(f"{failure.get('message')}\n\nweb.views was executed")
        assert verdicts(root)["raw.rates"] == ["failure"]

    def test_mistakes_in_the_policy_have_a_suite(self) -> None:
        rules: list[dict[str, Any]] = [
            {"models": "nothing.*", "allow": ["failed"]},
            {"models": "web.clicks", "require": "executed"},
        ]
        root = parsed(NIGHT, policy=GatePolicy(rules))
        policy = root[-1]
        assert policy.get("name") == "gate policy"
        assert policy.get("failures") == str(len(policy))
        assert list(verdicts(policy)) == [
            "unmatched rule, rule 1 (nothing.*)",
            "unmatched rule, rule 2 (web.clicks)",
        ]
        message = str(verdict(policy, "unmatched rule, rule 1 (nothing.*)").get("message"))
        assert message.startswith("rule 1 (nothing.*): no model matches")

    def test_each_finding_is_a_failure_or_an_error(self) -> None:
        raised = run(executed("web.views"), completion="raised", error="SQLMeshError: no")
        for report in (NIGHT, raised):
            findings = GatePolicy().evaluate(report).findings
            root = parsed(report, policy=GatePolicy())
            red = sum(tags in (["failure"], ["error"]) for tags in verdicts(root).values())
            assert red == len(findings) > 0

    def test_accepted_outcomes_are_the_same_as_without_a_gate(self) -> None:
        day = run(executed("web.views"), skipped("sales.weekly"))
        assert verdicts(parsed(day, policy=GatePolicy())) == verdicts(parsed(day))


@pytest.mark.parametrize("completion", ["failure", "interrupted", "raised"])
def test_an_error_that_no_model_explains_has_its_own_case(completion: str) -> None:
    report = run(
        executed("web.views"), completion=completion, error="SQLMeshError: no\nenvironment"
    )
    root = parsed(report)
    error = verdict(root, "the run itself")
    assert error.tag == "error"
    assert error.get("type") == completion
    assert "SQLMeshError: no" in str(error.get("message"))
    assert root.get("errors") == "1"


def test_an_interruption_without_an_error_has_its_own_case() -> None:
    error = verdict(parsed(run(completion="interrupted")), "the run itself")
    assert error.text == "the run was interrupted"


def test_a_failed_model_explains_the_invocations_error() -> None:
    report = run(failed("web.views"), completion="raised", error="NodeExecutionFailedError: no")
    assert verdicts(parsed(report)) == {"web.views": ["failure"]}


def test_repeated_tries_are_left_out() -> None:
    repeated = run(failed("web.views"), completion="failure", superseded=True)
    last = run(executed("web.views"))
    text = suites([Entry("t.py::test", repeated), Entry("t.py::test", last)])
    assert verdicts(ElementTree.fromstring(text)) == {"web.views": []}


def test_the_output_of_a_passed_case_is_its_outcome_with_the_cause() -> None:
    root = parsed(
        run(executed("a.x", causes=("new_interval",)), executed("a.y", message=""), failed("a.z"))
    )
    outputs = {case.get("name"): case.findtext("system-out") for case in root.iter("testcase")}
    assert outputs == {
        "a.x": "executed in 1 batch: new interval",
        "a.y": "executed in 1 batch",
        "a.z": None,
    }


def test_no_reports_make_no_suite() -> None:
    assert parsed().attrib == {"name": "sqlmesh", "tests": "0", "failures": "0", "errors": "0"}


@given(st.lists(st.tuples(st.none() | texts, reports()), max_size=3))
@unhurried
def test_any_report_is_well_formed_and_readable_by_other_parsers(
    entries: list[Entry],
) -> None:
    for result in (None, GatePolicy().evaluate(*entries)):
        root = ElementTree.fromstring(suites(entries, result).encode())
        for element in root.iter():
            assert set(element.attrib) <= ATTRIBUTES[element.tag]
            assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        for suite in root:
            cases = suite.findall("testcase")
            assert suite.get("tests") == str(len(cases))
            tags = [child.tag for case in cases for child in case]
            assert int(str(suite.get("failures"))) == tags.count("failure")
            assert int(str(suite.get("errors"))) == tags.count("error")
            assert int(str(suite.get("skipped"))) == tags.count("skipped")
            assert all(float(str(one.get("time", "0"))) >= 0 for one in (suite, *cases))
        red = int(str(root.get("failures"))) + int(str(root.get("errors")))
        assert red or result is None or result.passed

"""Reports as a JUnit XML file, with a suite for each invocation and a case for each model.

It uses the elements and attributes that Jenkins, Surefire and GitLab have in common.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from xml.etree import ElementTree

from pytest_sqlmesh_tracker.gate import GateFinding, GateResult
from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES
from pytest_sqlmesh_tracker.outcomes.invocation import Completion
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import minute
from pytest_sqlmesh_tracker.wording.invocations import notes
from pytest_sqlmesh_tracker.wording.paragraphs import Paragraphs
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.rows import reason_of
from pytest_sqlmesh_tracker.wording.sentences import sentence

from .junit import properties

_Verdict = Literal["failure", "error", "skipped"]
_VERDICTS: Mapping[Status, _Verdict] = {
    Status.FAILED: "failure",
    Status.INTERRUPTED: "error",
    Status.UNKNOWN: "error",
    Status.SKIPPED: "skipped",
}
_ENDS: Mapping[Completion, str] = {
    "failure": "failed",
    "interrupted": "was interrupted",
    "raised": "raised an exception",
    "success": "succeeded",
    "nothing_to_do": "had nothing to do",
}


@dataclass(frozen=True)
class _Case:
    """A `testcase`, which passed if it has no verdict."""

    name: str
    took: timedelta | None = None
    verdict: _Verdict | None = None
    kind: str = ""
    message: str = ""
    details: str = ""
    output: str = ""
    """The text for `system-out`."""

    def element(self, place: str) -> ElementTree.Element:
        """The case as XML. Its class name stands for the suite."""
        case = ElementTree.Element("testcase", name=self.name, classname=place)
        case.set("time", _seconds(self.took or timedelta()))
        if self.verdict:
            element = ElementTree.SubElement(case, self.verdict, message=printable(self.message))
            if self.verdict != "skipped":
                # GitLab shows only the text, Jenkins the message as well.
                element.set("type", self.kind)
                element.text = printable(self.details)
        if self.output:
            ElementTree.SubElement(case, "system-out").text = printable(self.output)
        return case


def suites(reports: Sequence[Entry], result: GateResult | None = None) -> str:
    """A JUnit XML file.

    A model that failed is a failure; one that was interrupted or is unknown is an error; one that
    was skipped is skipped, unless the gate found that unexpected. All other findings of the gate
    are failures as well: if the gate fails, so does the file. The output of a case that passed is
    the outcome in words, with the cause. Repeated tries and models that are not evaluatable are
    left out. If the gate tolerates a model for a time, the case's output, or the reason for its
    skip, gives the end of that time.

    Args:
        reports: each with the node id of its test or None.
        result: the result of a policy for the same reports.
    """
    findings: dict[int | None, list[GateFinding]] = defaultdict(list)
    for finding in () if result is None else (*result.findings, *result.tolerated):
        findings[finding.report_index].append(finding)
    root = ElementTree.Element("testsuites", name="sqlmesh")
    times: Counter[tuple[str, ...]] = Counter()
    for index, (test, report) in enumerate(reports):
        if report.superseded:
            continue
        place = (*filter(None, [test]), report.command, report.environment)
        times[place] += 1
        root.append(_suite(test, report, findings[index], place, times[place]))
    if findings[None]:
        policy = ElementTree.Element("testsuite", name="gate policy")
        root.append(_counted(policy, map(_of_policy, findings[None]), "gate.policy"))
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _suite(
    test: str | None,
    report: RunReport,
    findings: Sequence[GateFinding],
    place: Sequence[str],
    number: int,
) -> ElementTree.Element:
    """The suite of one invocation.

    Args:
        place: the facts that it shares with similar suites.
        number: its position among these, from 1, as CI merges cases with equal names.
    """
    again = f" ({number})" if number > 1 else ""
    where = f", in {test}" if test else ""
    name = name_of(f"{report.command} of {report.environment}{where}") + again
    suite = ElementTree.Element("testsuite", name=name)
    suite.set("timestamp", f"{report.started_at:%Y-%m-%dT%H:%M:%S}")
    suite.set("time", _seconds(report.finished_at - report.started_at))
    properties_of_suite = ElementTree.SubElement(suite, "properties")
    for key, value in _facts(test, report):
        ElementTree.SubElement(properties_of_suite, "property", name=key, value=printable(value))
    return _counted(suite, _cases(report, findings), name_of(".".join(place)) + again)


def _counted(suite: ElementTree.Element, cases: Iterator[_Case], place: str) -> ElementTree.Element:
    """The suite with its cases, and the number of cases with each verdict."""
    verdicts: Counter[str | None] = Counter()
    for case in cases:
        verdicts[case.verdict] += 1
        suite.append(case.element(place))
    suite.set("tests", str(verdicts.total()))
    for attribute, verdict in (
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        suite.set(attribute, str(verdicts[verdict]))
    return suite


def _facts(test: str | None, report: RunReport) -> Iterator[tuple[str, str]]:
    """The facts about an invocation as a whole."""
    yield "sqlmesh_command", report.command
    yield "sqlmesh_environment", report.environment
    yield "sqlmesh_execution_time", minute(report.execution_time)
    yield "sqlmesh_completion", report.completion
    if report.error:
        yield "sqlmesh_error", report.error
    for note in notes(report):
        yield "sqlmesh_note", note
    if test:
        yield "test", test
    # The first is the number of invocations.
    yield from properties([report])[1:]
    if report.removed:
        yield "sqlmesh_removed", ", ".join(map(name_of, report.removed))


def _cases(report: RunReport, findings: Sequence[GateFinding]) -> Iterator[_Case]:
    by_model: dict[str | None, list[GateFinding]] = defaultdict(list)
    for finding in findings:
        by_model[finding.model].append(finding)
    outcomes, paragraphs = report.outcomes.values(), Paragraphs(report)
    blamed = any(outcome.status in UNEXPECTED_STATUSES for outcome in outcomes)
    ended_well = report.completion in ("success", "nothing_to_do")
    if by_model[None] or not (ended_well or blamed):
        yield _of_command(report, by_model[None])
    for outcome in outcomes:
        if outcome.is_counted or by_model[outcome.name]:
            yield _of_model(paragraphs, outcome, by_model[outcome.name])


def _of_command(report: RunReport, findings: Sequence[GateFinding]) -> _Case:
    """The case for how the command ended, if no model of the report is to blame."""
    ending = report.error or f"the {report.command} {_ENDS[report.completion]}"
    lines = [finding.message for finding in findings] or [ending]
    took = report.finished_at - report.started_at
    return _Case(
        f"the {report.command} itself", took, "error", report.completion, lines[0], "\n".join(lines)
    )


def _of_policy(finding: GateFinding) -> _Case:
    """The case for a finding about the policy, which no report is to blame for."""
    what = finding.model or finding.kind.replace("_", " ")
    number = (finding.rule_index or 0) + 1
    rule = f", rule {number} ({finding.rule.label})" if finding.rule else ""
    return _Case(
        name_of(f"{what}{rule}"), None, "failure", finding.kind, finding.message, finding.message
    )


def _of_model(
    paragraphs: Paragraphs, outcome: ModelOutcome, findings: Sequence[GateFinding]
) -> _Case:
    name, verdict = name_of(outcome.name), _VERDICTS.get(outcome.status)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors and verdict != "error":
        verdict = "failure"
    tolerated = next((finding.predicate for finding in findings if finding not in errors), "")
    if verdict is None:
        output = tolerated.removeprefix("was ") or outcome.message or sentence(outcome)
        return _Case(name, outcome.duration, output=output)
    if verdict == "skipped":
        reason = tolerated.removeprefix("was skipped: ") or reason_of(outcome)
        return _Case(name, outcome.duration, verdict, message=reason)
    kind, message = str(outcome.reason or outcome.status), outcome.message or sentence(outcome)
    by_rules = [error.message for error in errors if error.rule is not None]
    if errors and errors[0].rule is not None:
        # No default found fault with the outcome before.
        message = errors[0].message
        kind = errors[0].kind if errors[0].kind == "stale_model" else kind
    details = "\n\n".join([*by_rules, paragraphs.of(outcome)])
    return _Case(name, outcome.duration, verdict, kind, message, details)


def _seconds(took: timedelta) -> str:
    return f"{max(0.0, took.total_seconds()):.3f}"

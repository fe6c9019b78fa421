"""The end of a session: report files, and the plugin's section of the terminal summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .session import SessionReports
from .settings import setting
from .templates.uses import USES, handed_over, lines
from .tries import HandedOver, Repeated, place_of

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.reports.report import RunReport
    from pytest_sqlmesh_tracker.sandbox.templates.kept.uses import TemplateUse
from .configuration import (
    TODAY,
    TRIES,
    policy,
    report_paths,
)

SECTION = "sqlmesh runs"


class Session:
    """Collects the invocations of all tests, then writes them and prints their totals."""

    def __init__(self, config: pytest.Config) -> None:
        self._paths = report_paths(config)
        self._reports = SessionReports(runs_everywhere=config.getoption("dist", "no") == "each")
        self._repeated = Repeated()
        self._strict = self._deselected = False
        self._policy_errors: list[str] = []
        self._uses: list[TemplateUse] = []
        self._files: list[tuple[str, dict[str, bool]]] = []

    # Before the JUnit plugin reads the report.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the invocations that the report of a phase hands over."""
        self._reports.receive(report)
        repeated = self._repeated.ends_with(report)
        # Nothing is imported for tests that are not tracked.
        if repeated and any(name.startswith("sqlmesh_") for name, _ in report.user_properties):
            from pytest_sqlmesh_tracker.render.junit import other_properties

            report.user_properties = other_properties(report.user_properties)
        handed_over = HandedOver.attached_to(report)
        if handed_over and handed_over.ended_strictly:
            self._strict, self._deselected = True, handed_over.deselected

    # First, because other plugins can fail at the end.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files, and check the policy against the reports of all tests."""
        for item in getattr(session, "items", ()):
            # A test that is still running was cut off by Ctrl-C.
            if TRIES in item.stash:
                tries = item.stash[TRIES].hand_over()
                self._reports.add(item.nodeid, tries, item=place_of(item))
        if not session.config.option.collectonly:
            self._write(session)
        if self._strict:
            self._policy_errors = self._check_policy(session)

    def _write(self, session: pytest.Session) -> None:
        folder = session.config.invocation_params.dir
        project = session.config.rootpath / (setting(session.config, "project") or "")
        for path, failure in self._reports.write(self._paths, project):
            shown = path.relative_to(folder) if path.is_relative_to(folder) else path
            outcome = f"could not be written: {failure}" if failure else "written"
            self._files.append((f"sqlmesh: {shown} {outcome}", {"red": bool(failure)}))
            if failure:
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _check_policy(self, session: pytest.Session) -> list[str]:
        from .strict import policy_errors

        config = session.config
        stopped = session.shouldfail or session.shouldstop or session.exitstatus not in (0, 1)
        selected = self._deselected or config.getoption("lf", False)
        folders = all((config.invocation_params.dir / arg).is_dir() for arg in config.args)
        complete = folders and not (stopped or selected)
        reports = [report for _, report in self._reports.all]
        return policy_errors(policy(config), reports, config.stash[TODAY], complete=complete)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print totals, what is wrong with the policy, and the files that were written."""
        if self._reports.all:
            self._print_totals(terminalreporter)
        config = terminalreporter.config
        uses = [*config.stash[USES], *self._uses]
        for line in lines(uses, verbose=config.get_verbosity() > 0):
            terminalreporter.line(line)
        if self._policy_errors:
            terminalreporter.section("sqlmesh gate policy", yellow=True)
            for error in self._policy_errors:
                terminalreporter.line(error)
        for line, color in self._files:
            terminalreporter.line(line, **color)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Collect how a worker of xdist made its templates."""
        self._uses += handed_over(node)

    def _print_totals(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_sqlmesh_tracker.wording.invocations import totals_line

        by_test = self._reports.by_test
        if terminalreporter.config.get_verbosity() > 0:
            terminalreporter.section(SECTION)
            for test, reports in by_test.items():
                terminalreporter.line(test, bold=True)
                # Unlike all other text, the summary is never in a file: use pytest's colors.
                colored = terminalreporter.hasmarkup
                terminalreporter.line(tables_of(reports, terminalreporter.config, color=colored))
                terminalreporter.line("")
        totals = totals_line([report for _, report in self._reports.all], len(by_test))
        terminalreporter.line(f"sqlmesh: {totals}")


def tables_of(reports: list[RunReport], config: pytest.Config, *, color: bool = False) -> str:
    """One table per invocation, as wide as the terminal."""
    from pytest_sqlmesh_tracker.render.terminal import tables

    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = terminal._tw.fullwidth if terminal else 100
    return tables(reports, width=max(80, width), color=color)

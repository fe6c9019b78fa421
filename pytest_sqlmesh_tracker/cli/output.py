"""The output of commands: tables or JSON on standard output, files, and GitHub's summary."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pytest_sqlmesh_tracker.doctor.diagnosis import Diagnosis
from pytest_sqlmesh_tracker.gate import GateResult
from pytest_sqlmesh_tracker.history.pending import Source
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.render import doctor, markdown, terminal
from pytest_sqlmesh_tracker.render.files import checked_path, write
from pytest_sqlmesh_tracker.reports.diff import Difference
from pytest_sqlmesh_tracker.reports.files import entries_to_json
from pytest_sqlmesh_tracker.wording.formats import one_line
from pytest_sqlmesh_tracker.wording.invocations import totals_line
from pytest_sqlmesh_tracker.wording.printable import printable
from pytest_sqlmesh_tracker.wording.table import table as table_of

from .reports import Entries
from .streams import colored

_SUMMARY_LIMIT = 1024 * 1024
"""The size up to which GitHub shows a step's summary, in bytes."""

_MODELS_LIMIT = 200
"""The number of models that a table shows; further expected outcomes are only counted."""


@dataclass(frozen=True)
class Style:
    """The style of text on a stream."""

    width: int
    """In columns."""
    color: bool


@dataclass(frozen=True)
class Output:
    """The destinations of a command's results, from its options."""

    as_json: bool = False
    quiet: bool = False
    files: tuple[Path, ...] = ()
    github_summary: Path | None = None

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> Output:
        """The output for the options, checked before any work is done.

        Raises:
            UsageError: the format of a report file is not supported, or a summary is requested
                outside GitHub Actions.
        """
        try:
            # A model can change the working directory.
            files = tuple(checked_path(path).absolute() for path in options.get("files", ()))
        except (OSError, ValueError) as wrong:
            raise click.UsageError(f"--report: {wrong}") from None
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if options["github_summary"] and not summary:
            raise click.UsageError("--github-summary works only in GitHub Actions")
        summary_path = Path(summary) if summary and options["github_summary"] else None
        return cls(options["as_json"], options["quiet"], files, summary_path)

    def show(self, entries: Entries, *, below: bool = False, everything: bool = False) -> None:
        """Print what happened to each model of each invocation.

        Args:
            entries: the reports; JSON includes all of them.
            below: whether the output follows what SQLMesh printed.
            everything: whether to include invocations of repeated tries, and models that are not
                evaluatable.
        """
        if self.as_json:
            click.echo(entries_to_json(entries), nl=False)
        elif not self.quiet:
            click.echo("\n" if below else "", nl=False)
            shown = [entry for entry in entries if everything or not entry.report.superseded]
            style = self.style
            for test, report in shown:
                if test:
                    click.echo(one_line(printable(test)))
                table = table_of(
                    report,
                    width=style.width,
                    color=style.color,
                    limit=_MODELS_LIMIT,
                    everything=everything,
                )
                self._print(table + "\n")
            if len(entries) != 1 or not shown:
                hint = " (--all shows them)" if len(shown) < len(entries) else ""
                click.echo(totals_line([report for _, report in entries]) + hint)

    def explain(self, entries: Entries, models: Sequence[str], *, everything: bool = False) -> None:
        """Print the paragraphs on some models.

        Args:
            entries: the reports in which to look the models up.
            models: their names or globs.
            everything: whether to include invocations of repeated tries.

        Raises:
            ClickException: one of them is not in any report.
        """
        for model in models:
            paragraphs, unknown = [], None
            for report in [report for _, report in entries if everything or not report.superseded]:
                try:
                    paragraphs.append(report.explain(model))
                except UnknownModelError as error:
                    unknown = error
            if not paragraphs:
                raise click.ClickException(str(unknown or f"no report to look up {model!r} in"))
            click.echo(printable("\n\n".join(paragraphs)) + "\n")

    def judge(self, result: GateResult, *, beside_reports: bool = False) -> None:
        """Print the gate's result; with reports in JSON, it goes to standard error."""
        if self.as_json and not beside_reports:
            click.echo(json.dumps(result.to_dict(), indent=2))
        else:
            style = self.style
            self._print(terminal.findings(result, width=style.width, color=style.color))

    def compare(self, difference: Difference) -> None:
        """Print the differences, and add them to GitHub's summary."""
        if self.as_json:
            click.echo(json.dumps(difference.to_dict(), indent=2))
        elif self.quiet:
            self._print(difference.summary)
        else:
            style = self.style
            self._print(terminal.difference(difference, width=style.width, color=style.color))
        exit_with(self._summarize(lambda limit: markdown.difference(difference, limit=limit)))

    def diagnose(self, diagnosis: Diagnosis) -> None:
        """Print the diagnosis."""
        if self.as_json:
            click.echo(json.dumps(diagnosis.to_dict(), indent=2))
        else:
            click.echo(doctor.text(diagnosis, width=self.style.width))

    def write(
        self,
        entries: Entries,
        result: GateResult | None = None,
        *,
        source: Source = "import",
        project: Path | None = None,
    ) -> None:
        """Write the requested files, and GitHub's summary.

        Args:
            entries: the reports.
            result: the gate's.
            source: where the reports come from, for a history.
            project: the folder of the project; the current folder if it is None.

        Raises:
            ClickException: some files can't be written; the message has a line for each. The others
                are written.
        """
        wrong = errors_of_writing(
            self.files,
            lambda path: write(path, entries, result, source=source, project=project),
        )
        wrong += self._summarize(lambda limit: markdown.summary(entries, result, limit=limit))
        exit_with(wrong)

    def _summarize(self, rendered: Callable[[int], str]) -> list[str]:
        """Append to the output of other commands in the same step as much as fits."""
        path = self.github_summary
        try:
            if path:
                room = _SUMMARY_LIMIT - (path.stat().st_size if path.exists() else 0)
                with path.open("a", encoding="utf-8") as file:
                    file.write(rendered(max(0, room - 1)) + "\n")
        except OSError as error:
            return [f"--github-summary: {error.strerror or error}"]
        return []

    def _print(self, text: str) -> None:
        """Print text in this style; with JSON, to standard error."""
        # By default, click removes colors if the stream is not a terminal.
        click.echo(text, err=self.as_json, color=self.style.color)

    @property
    def style(self) -> Style:
        """The style of the terminal, or one that stays readable in logs."""
        stream = sys.stderr if self.as_json else sys.stdout
        width = max(80, shutil.get_terminal_size().columns) if stream.isatty() else 120
        return Style(width, colored(stream))


def errors_of_writing(files: Sequence[Path], write_one: Callable[[Path], object]) -> list[str]:
    """Write all files of `--report`; a line for each that can't be written."""
    wrong = []
    for path in files:
        try:
            write_one(path)
        except (OSError, ValueError, RuntimeError) as error:
            # Before Python 3.13, a loop of links raises RuntimeError.
            reason = error.strerror if isinstance(error, OSError) else error
            wrong.append(f"--report {path}: {reason or error}")
    return wrong


def exit_with(wrong: Sequence[str]) -> None:
    """End the command with these errors, if there are any.

    Raises:
        ClickException: there are; the message has a line for each.
    """
    if wrong:
        raise click.ClickException("\n".join(wrong))

"""The output of the command `check`: text or JSON on standard output, and files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_sqlmesh_tracker.wording.formats import quantity
from pytest_sqlmesh_tracker.wording.printable import printable

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.histories.diagnosing import Finding
    from pytest_sqlmesh_tracker.histories.results import CheckedModel, CheckedProject


@dataclass(frozen=True)
class CheckOutput:
    """The destinations of the result."""

    as_json: bool
    quiet: bool
    files: tuple[Path, ...]

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> CheckOutput:
        """The output for the options, checked before any work is done.

        Raises:
            UsageError: the format of a report is not supported, or its folder does not exist.
        """
        files = tuple(Path(path).absolute() for path in options["files"])
        for file in files:
            if file.suffix.lower() not in _WRITERS:
                raise click.UsageError(f"--report: {file.name} must end in .json or .md")
            if not file.parent.is_dir():
                raise click.UsageError(f"--report: the folder {file.parent} does not exist")
        return cls(options["as_json"], options["quiet"], files)

    def found(self, finding: Finding, begin: datetime) -> None:
        """Print a finding as soon as it is known; with JSON, to standard error."""
        from pytest_sqlmesh_tracker.histories.wording import finding_in_words

        click.echo(printable(finding_in_words(finding, begin)) + "\n", err=self.as_json)

    def show(self, project: CheckedProject) -> None:
        """Print what is known about each model, and write the files.

        Raises:
            ClickException: a file can't be written.
        """
        if self.as_json:
            click.echo(_json(project), nl=False)
        elif not self.quiet:
            click.echo(printable(_table(project)))
        wrong = []
        for file in self.files:
            try:
                file.write_text(_WRITERS[file.suffix.lower()](project), encoding="utf-8")
            except OSError as error:
                wrong.append(f"--report {file}: {error.strerror}")
        if wrong:
            raise click.ClickException("\n".join(wrong))


def _headline(project: CheckedProject) -> str:
    counts = Counter(each.verdict.value for each in project.models)
    totals = ", ".join(
        f"{count} {'differ' if words == 'differs' and count > 1 else words}"
        for words, count in sorted(counts.items())
    )
    histories = quantity(project.histories, "history")
    return (
        f"{quantity(len(project.models), 'model')} after {histories} of "
        f"{quantity(project.days, 'day')} from {project.begin:%Y-%m-%d %H:%M} UTC: {totals}"
    )


def _table(project: CheckedProject) -> str:
    width = max(len(each.name) for each in project.models)
    rows = [f"  {each.name:<{width}}  {each.rows:>9,}  {each.words}" for each in project.models]
    return "\n".join([_headline(project), "", f"  {'model':<{width}}  {'rows':>9}  result", *rows])


def _json(project: CheckedProject) -> str:
    document = {
        "schema_version": 1,
        "begin": project.begin.isoformat(),
        "days": project.days,
        "histories": project.histories,
        "models": {each.name: _model(each, project.begin) for each in project.models},
    }
    return json.dumps(document, indent=2) + "\n"


def _model(model: CheckedModel, begin: datetime) -> dict[str, object]:
    from pytest_sqlmesh_tracker.histories.wording import finding_in_words

    finding = model.finding
    return {
        "result": model.verdict.value,
        "rows": model.rows,
        "upstream": model.upstream,
        "sort": finding and finding.sort.value,
        "history": finding and repr(finding.history),
        "message": finding and finding_in_words(finding, begin),
    }


def _markdown(project: CheckedProject) -> str:
    from pytest_sqlmesh_tracker.histories.wording import finding_in_words
    from pytest_sqlmesh_tracker.render.markdown_page import code, row

    parts = [f"## SQLMesh: histories\n\n{_headline(project)}\n\n"]
    parts += [row(["model", "rows", "result"]), row(["---", "---:", "---"])]
    parts += [row([code(m.name), f"{m.rows:,}", m.words]) for m in project.models]
    for model in project.models:
        if model.finding is not None:
            text = printable(finding_in_words(model.finding, project.begin))
            indented = "".join(f"    {line}\n" for line in text.splitlines())
            parts.append(f"\n### {code(model.name)}\n\n{indented}")
    return "".join(parts)


_WRITERS: Mapping[str, Callable[[CheckedProject], str]] = {".json": _json, ".md": _markdown}

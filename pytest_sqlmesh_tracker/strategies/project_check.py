"""Checks the models of a project without a test being written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlmesh.utils.date import to_datetime

from pytest_sqlmesh_tracker.histories.comparing import models_to_compare
from pytest_sqlmesh_tracker.histories.diagnosing import Finding
from pytest_sqlmesh_tracker.histories.replaying import evaluated_models
from pytest_sqlmesh_tracker.histories.results import CheckedModel, CheckedProject
from pytest_sqlmesh_tracker.sandbox.data.models import index_of
from pytest_sqlmesh_tracker.sandbox.making import Defaults, SandboxMaker
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates

from .drawing import histories
from .independence import search
from .searching import Search


@dataclass(frozen=True)
class CheckOptions:
    """What is checked, and how.

    Attributes:
        models: names or globs; empty for all models.
        exclude: names or globs of models that are not checked.
        start: the day before histories begin; None for the latest start of the checked models.
        days: the length of the histories.
        examples: how many histories are drawn.
        ignore: model → columns that may differ.
        seed: another number draws other histories.
        sandbox: the other options of sandboxes, such as the gateway.
    """

    models: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    start: datetime | None = None
    days: int = 7
    examples: int = 50
    ignore: Mapping[str, Iterable[str]] = field(default_factory=dict)
    seed: int | None = None
    sandbox: Mapping[str, Any] = field(default_factory=dict)


def check_project(
    paths: Sequence[str], options: CheckOptions, found: Callable[[Finding, datetime], None]
) -> CheckedProject:
    """Check whether the rows of a project's models depend on the history.

    Args:
        paths: the folders of the project.
        found: is called with each finding, and with the time at which histories begin.

    Raises:
        UnknownModelError: a name matches no model.
        SandboxError: an option is not valid, or the project can't be planned.
    """
    with _sandboxes(paths) as sandboxes:
        names, begin = _what_and_when(sandboxes, options)
        sandbox = {**options.sandbox, "at": begin, "select": names}
        with search(
            sandboxes,
            names,
            histories(options.days),
            options.examples,
            options.ignore,
            options.seed,
            sandbox,
        ) as searching:
            findings = {}
            for finding in searching.findings():
                findings[finding.model] = finding
                found(finding, begin)
            models = [
                _checked(name, findings, searching) for name in searching.checker.models.names
            ]
            return CheckedProject(begin, options.days, searching.checker.played, tuple(models))


@contextmanager
def _sandboxes(paths: Sequence[str]) -> Iterator[SandboxMaker]:
    """Makes sandboxes in a folder that is deleted at the end."""
    with TemporaryDirectory(prefix="sqlmesh-tracker-", ignore_cleanup_errors=True) as folder:
        numbers = iter(range(10**9))

        def new_folder() -> Path:
            made = Path(folder, str(next(numbers)))
            made.mkdir()
            return made

        templates = Templates(Path.cwd(), new_folder, Path(folder))
        defaults = Defaults({"path": list(paths)}, lambda: ".")
        sandboxes = SandboxMaker("sqlmesh-tracker check", templates, defaults, lambda _: None)
        try:
            yield sandboxes
        finally:
            sandboxes.close(warn=False)
            templates.remove()


def _what_and_when(sandboxes: SandboxMaker, options: CheckOptions) -> tuple[list[str], datetime]:
    """The models to check, and when histories begin: a day after the start, at midnight."""
    with sandboxes.kept_apart()(plan=False, **options.sandbox) as project:
        compared = models_to_compare(
            project, evaluated_models(project), options.models or None, options.ignore
        )
        index = index_of(project.context)
        excluded = {each.name for name in options.exclude for each in index.matching(name)}
        names = [name for name in compared.names if name not in excluded]
        if not names:
            raise SandboxError("no model is left to check")
        start = options.start or _latest_start(project, names)
    return names, datetime.combine(start.date(), time(), timezone.utc) + timedelta(days=1)


def _latest_start(project: Sandbox, names: Sequence[str]) -> datetime:
    models = [project.context.get_model(name, raise_if_missing=True) for name in names]
    starts = [
        to_datetime(model.start, relative_base=project.now) for model in models if model.start
    ]
    if not starts:
        raise SandboxError("the models have no start: pass --start, such as --start 2024-01-01")
    latest: datetime = max(starts)
    return latest


def _checked(name: str, findings: Mapping[str, Finding], searching: Search) -> CheckedModel:
    rows = searching.checker.most_rows(name)
    if name in findings:
        return CheckedModel(name, rows, findings[name])
    upstream = searching.models.upstream(name)
    differing = next((each for each in findings if each in upstream), None)
    return CheckedModel(name, rows, upstream=differing)

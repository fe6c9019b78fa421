"""The command `history`: how models fared over the invocations in a history."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click

from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.opening import check
from pytest_sqlmesh_tracker.history.pruning import prune
from pytest_sqlmesh_tracker.history.report_files import SUFFIX, is_history
from pytest_sqlmesh_tracker.history.trends.reading import read_timelines, read_trends
from pytest_sqlmesh_tracker.history.trends.recent import read_recent
from pytest_sqlmesh_tracker.history.trends.types import SCHEMA_VERSION, ModelTrend, Timeline, Trends
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.render.files import checked_path
from pytest_sqlmesh_tracker.render.trends.markdown import overview_page, timelines_page
from pytest_sqlmesh_tracker.render.trends.text import overview, timelines
from pytest_sqlmesh_tracker.reports.files import Entry, write_whole
from pytest_sqlmesh_tracker.reports.parsing import parse_duration
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.wording.formats import minute, quantity

from .output import Output, errors_of_writing, exit_with
from .reports import read, since_of

_MOST_MODELS = 200
"""The number of models that a table shows; others are only counted."""
_MOST_INVOCATIONS = 50
"""The number of invocations that text shows of a model; JSON has all."""
_UNITS = ("hours", "days", "weeks")
_SUFFIXES = (".json", ".md", ".html")
_EVER = datetime.min.replace(tzinfo=timezone.utc)


def look_back(file: str, models: Sequence[str], options: Mapping[str, Any]) -> None:
    """Append and remove reports as requested, then print how models fared, and write files.

    Raises:
        UsageError: an option is not valid.
        ClickException: the history can't be read or written, it has no such model or environment,
            or a file can't be written; the message has a line for each.
    """
    if not is_history(file):
        raise click.UsageError(f"{file!r} is not a history: its name must end in {SUFFIX}")
    since = since_of(options["since"], file)
    before = _pruned_before(options["prune"])
    files = [_checked(path) for path in options["files"]]
    history = Path(file).absolute()
    try:
        _change(history, options["imported"], before)
        trends = _of_environment(read_trends(history, since), options["environment"])
        shown = _timelines(history, trends, models, since) if models else None
    except UnknownModelError as error:
        raise click.ClickException(str(error)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"{file}: {reason or error}") from None
    if options["as_json"]:
        click.echo(_as_json(trends, shown))
    else:
        _print(trends, shown)

    def write(path: Path) -> None:
        write_whole(path, _content(path, history, trends, shown, since))

    exit_with(errors_of_writing(files, write))


def _pruned_before(duration: str | None) -> datetime | None:
    """The time before which invocations are removed."""
    if duration is None:
        return None
    try:
        length = parse_duration(duration, _UNITS)
    except ValueError as error:
        raise click.UsageError(f"--prune: {error}") from None
    now = datetime.now(timezone.utc)
    if length is None or not timedelta(0) < length < now - _EVER:
        raise click.UsageError(
            f'--prune must be a positive number of hours, days or weeks, such as "90 days", not '
            f"{duration!r}"
        )
    return now - length


def _change(history: Path, imported: Sequence[str], before: datetime | None) -> None:
    """Append reports, then remove old ones; say on standard error how many."""
    entries: list[Entry] = []
    if imported:
        check(history)
        [entries] = read(imported, since=_EVER)
    if imported or (before is not None and history.exists()):
        # Pending reports are taken in, so that old ones of these are removed as well.
        append(history, entries, source="import")
    if before is not None:
        number = prune(history, before)
        click.echo(
            f"removed {quantity(number, 'report')} of invocations before {minute(before)}", err=True
        )


def _of_environment(trends: Trends, environment: str | None) -> Trends:
    """The trends of one environment, or all.

    Raises:
        ClickException: the history does not have it.
    """
    if environment is None:
        return trends
    kept = tuple(each for each in trends.environments if each.environment == environment)
    if not kept:
        names = [each.environment for each in trends.environments]
        hint = did_you_mean(environment, names, f"it has {', '.join(names) or 'none'}")
        raise click.ClickException(f"the history has no environment {environment!r}; {hint}")
    return trends.model_copy(update={"environments": kept})


def _timelines(
    history: Path, trends: Trends, models: Sequence[str], since: datetime | None
) -> list[Timeline]:
    chosen: dict[str, dict[str, ModelTrend]] = defaultdict(dict)
    for model in models:
        for trend in trends.matching(model):
            chosen[trend.name][trend.environment] = trend
    in_order = [trend for of_name in chosen.values() for trend in of_name.values()]
    return read_timelines(history, in_order, since)


def _as_json(trends: Trends, shown: Sequence[Timeline] | None) -> str:
    if shown is None:
        return trends.to_json()
    models = [timeline.to_dict() for timeline in shown]
    return json.dumps({"schema_version": SCHEMA_VERSION, "models": models}, indent=2)


def _print(trends: Trends, shown: Sequence[Timeline] | None) -> None:
    style = Output().style
    if shown is not None:
        text = timelines(shown, width=style.width, color=style.color, limit=_MOST_INVOCATIONS)
    elif trends.environments:
        text = overview(trends, width=style.width, color=style.color, limit=_MOST_MODELS)
    else:
        text = "no invocations"
    click.echo(text, color=style.color)


def _checked(path: str) -> Path:
    try:
        return checked_path(path, _SUFFIXES).absolute()
    except (OSError, ValueError) as wrong:
        raise click.UsageError(f"--report: {wrong}") from None


def _content(
    path: Path,
    history: Path,
    trends: Trends,
    shown: Sequence[Timeline] | None,
    since: datetime | None,
) -> str:
    """The content of a file, by its suffix."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _as_json(trends, shown) + "\n"
    if suffix == ".md":
        return overview_page(trends) if shown is None else timelines_page(shown)
    from pytest_sqlmesh_tracker.render.page.model_files import ModelFiles
    from pytest_sqlmesh_tracker.render.trends.page import MOST_INVOCATIONS, page

    recent = read_recent(history, since, most=MOST_INVOCATIONS)
    if shown is not None:
        trends = trends.restricted(each.trend for each in shown)
    return page(trends, recent, ModelFiles(path, Path()))

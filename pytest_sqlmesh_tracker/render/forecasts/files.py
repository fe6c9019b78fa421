"""Files of forecasts, whose format depends on the suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_sqlmesh_tracker.forecast.results import Forecast
from pytest_sqlmesh_tracker.render import files
from pytest_sqlmesh_tracker.reports.files import write_whole


def _json(forecast: Forecast) -> str:
    return f"{forecast.to_json()}\n"


def _markdown(forecast: Forecast) -> str:
    from .markdown import markdown

    return markdown(forecast)


def _html(forecast: Forecast) -> str:
    from .calendar import calendar

    return calendar(forecast)


_RENDERERS: dict[str, Callable[[Forecast], str]] = {
    ".json": _json,
    ".md": _markdown,
    ".html": _html,
}


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path, if it is valid for a forecast's file. Whether it can be written is not checked.

    Raises:
        ValueError: the path has another suffix, or is a folder; the message is one line.
    """
    return files.checked_path(path, tuple(_RENDERERS))


def write(path: Path, forecast: Forecast) -> None:
    """Write a forecast in the format of the path's suffix, as `render.files.write` does.

    Raises:
        OSError: the file can't be written.
    """
    write_whole(path, _RENDERERS[path.suffix.lower()](forecast))

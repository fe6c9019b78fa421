"""Where the templates of a session are kept."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sqlmesh_tracker.pytest_plugin.configuration import STARTED, is_worker

from .uses import USES

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.sandbox.templates.inputs.known import Inputs
    from pytest_sqlmesh_tracker.sandbox.templates.kept.cache import TemplateCache
    from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import Keeper

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_LONG = 2.0
"""Seconds of planning after which the terminal says so."""


def session_keeper(config: pytest.Config, scratch: Path) -> Keeper:
    """The keeper of a session's templates.

    Args:
        scratch: the folder of the session, which xdist's workers share.
    """
    from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import Keeper

    def announced(inputs: Inputs) -> _Announced:
        at = inputs.options.at
        when = f"{at:%Y-%m-%d %H:%M} UTC" if at else "now"
        return _Announced(config, f"sqlmesh: planning {inputs.projects} as of {when} ...")

    return Keeper(
        _cache(config),
        failures=scratch / "sqlmesh_failed_plans" if is_worker(config) else None,
        replan=config.getoption("sqlmesh_tracker_replan"),
        started=config.stash[STARTED],
        announced=announced,
        uses=config.stash[USES],
    )


def _cache(config: pytest.Config) -> TemplateCache | None:
    """The cache; None if templates are not kept."""
    limit = size_in_bytes(config.getini("sqlmesh_tracker_cache_size"))
    # The plugin that has the cache can be disabled.
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is None or not (limit and config.getini("sqlmesh_tracker_reuse")):
        return None
    from pytest_sqlmesh_tracker.sandbox.templates.kept.cache import TemplateCache

    try:
        return TemplateCache(cache.mkdir("sqlmesh_tracker") / "templates", limit)
    except OSError:
        return None


def size_in_bytes(text: str) -> int:
    """A size such as "2 GB".

    Raises:
        UsageError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B|)\s*", text, re.IGNORECASE)
    if match is None:
        raise pytest.UsageError(
            f"sqlmesh_tracker_cache_size must be a size such as 500 MB or 2 GB, not {text!r}"
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


class _Announced:
    """Prints a line if what it surrounds takes long. Workers of xdist have no terminal."""

    def __init__(self, config: pytest.Config, line: str) -> None:
        self._terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._line = line
        self._timer = threading.Timer(_LONG, self._show)
        self._timer.daemon = True

    def __enter__(self) -> None:
        if self._terminal is not None:
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._terminal is not None:
            self._timer.cancel()
            self._timer.join()

    def _show(self) -> None:
        with self._uncaptured():
            self._terminal.ensure_newline()
            self._terminal.write_line(self._line)

    @contextmanager
    def _uncaptured(self) -> Iterator[None]:
        if self._capture is None:
            yield
        else:
            with self._capture.global_and_fixture_disabled():
                yield

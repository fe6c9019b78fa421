"""Loading a project without leaving a trace, and handing the loaded project to many contexts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmesh import Context
from sqlmesh.core.config import Config, load_configs
from sqlmesh.core.loader import LoadedProject, Loader


def read_configs(paths: Iterable[Path], config: Config | str | None) -> dict[Path, Config]:
    """The configuration of each of the paths, as `Context` reads it; nothing is written there.

    Args:
        config: one to use instead, or the name of one in `config.py`.
    """
    with _no_bytecode():
        configs: dict[Path, Config] = load_configs(config, Context.CONFIG_TYPE, list(paths))
    return configs


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Python writes no `__pycache__` beside a user's `config.py`."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextmanager
def environment_kept() -> Iterator[None]:
    """Put the environment variables back afterwards: SQLMesh sets those of a project's `.env`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def loader_of(loaded: LoadedProject, base: type[Loader]) -> type[Loader]:
    """A loader that returns a loaded project the first time, and from then on what the files say.

    Args:
        base: the loader that reads the files.
    """

    class LoadedOnce(base):  # type: ignore[misc, valid-type]
        _returned = False

        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            if self._returned:
                project: LoadedProject = super().load(*args, **kwargs)
                return project
            self._returned = True
            return loaded

    return LoadedOnce


def keeping_loader(kept: dict[Path, LoadedProject], base: type[Loader]) -> type[Loader]:
    """A loader that leaves what it has loaded in `kept`, by its path."""

    class Keeping(base):  # type: ignore[misc, valid-type]
        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            project: LoadedProject = super().load(*args, **kwargs)
            kept[self.config_path] = project
            return project

    return Keeping


def finished(project: LoadedProject, models: Mapping[str, Any], audits: Mapping[str, Any]) -> None:
    """Give a loaded project the models that a context made of it: with schemas, and only these."""
    for name in list(project.models):
        del project.models[name]
        if name in models:
            project.models[name] = models[name]
    for name in list(project.standalone_audits):
        if name not in audits:
            del project.standalone_audits[name]

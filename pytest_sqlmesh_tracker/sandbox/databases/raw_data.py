"""Loads a test's raw data before the first plan, from SQL files and the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .engine import SandboxAdapter

Setup = Callable[[Any], Any]
"""A function that is called with a connection of the engine's driver."""


def load_setup(adapter: SandboxAdapter, files: Iterable[Path]) -> None:
    """Execute SQL files in order.

    Raises:
        SandboxError: a file is missing, or one of its statements is rejected.
    """
    rejections: tuple[type[Exception], ...] = (*adapter.system.errors, SandboxError, SQLMeshError)
    for file in files:
        try:
            adapter.execute_users(file.read_text(encoding="utf-8"))
        except OSError:
            raise SandboxError(f"setup: {file} does not exist") from None
        except rejections as error:
            first, *_ = str(error).splitlines()
            raise SandboxError(f"setup: {file.name} failed: {first}") from error


def call_setup(adapter: SandboxAdapter, setup: Setup) -> None:
    """Let the user's function load data.

    Raises:
        SandboxError: the function raised.
    """
    try:
        adapter.call(setup)
    except Exception as error:
        raise SandboxError(
            f"the function from sqlmesh_project_setup failed: {type(error).__name__}: {error}"
        ) from error

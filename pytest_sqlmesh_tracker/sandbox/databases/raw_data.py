"""Loads a test's raw data before the first plan, from SQL files and the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

Setup = Callable[[duckdb.DuckDBPyConnection], Any]


def load_setup(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Path], check: Callable[[str], None]
) -> None:
    """Execute SQL files in order.

    Args:
        check: raises `SQLMeshError` for statements that a sandbox does not execute.

    Raises:
        SandboxError: a file is missing, or one of its statements is rejected.
    """
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            check(text)
            connection.execute(text)
        except OSError:
            raise SandboxError(f"setup: {file} does not exist") from None
        except (duckdb.Error, SQLMeshError) as error:
            first, *_ = str(error).splitlines()
            raise SandboxError(f"setup: {file.name} failed: {first}") from error


def call_setup(connection: duckdb.DuckDBPyConnection, setup: Setup) -> None:
    """Let the user's function load data.

    Raises:
        SandboxError: the function raised.
    """
    try:
        setup(connection)
    except Exception as error:
        raise SandboxError(
            f"the function from sqlmesh_project_setup failed: {type(error).__name__}: {error}"
        ) from error

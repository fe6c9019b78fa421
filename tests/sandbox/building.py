"""Projects of users, with their databases, as sandboxes find them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh import Context

from tests.projects import Project, at

DEFAULTS = """
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""


def project(path: Path, gateways: str, more: str = DEFAULTS) -> Project:
    """A project with these gateways, as YAML, and nothing in it."""
    made = Project(path)
    made.write("config.yaml", f"gateways: {gateways}\n{more}")
    return made


def database(file: Path, *statements: str) -> Path:
    """A DuckDB file in which these statements were executed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(file)) as connection:
        for statement in statements:
            connection.execute(statement)
    return file


@contextmanager
def plain(path: Path, moment: str = "2024-01-05 00:05", **arguments: Any) -> Iterator[Context]:
    """The project without a sandbox: SQLMesh's own context, on the user's own database."""
    with at(moment):
        context = Context(paths=str(path), **arguments)
        try:
            yield context
        finally:
            context.close()


def planned(path: Path, environment: str | None = None, **arguments: Any) -> None:
    """Plan the project without a sandbox, as its users do."""
    with plain(path) as context:
        context.plan(environment, auto_apply=True, no_prompts=True, **arguments)


def snapshot_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder: its content's hash, and when it was last written."""
    return {
        str(file.relative_to(folder)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }

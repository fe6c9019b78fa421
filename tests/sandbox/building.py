"""Projects of users, with their databases, as sandboxes find them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh import Context

from pytest_sqlmesh_tracker import Sandbox, track_all
from pytest_sqlmesh_tracker.sandbox.making import Defaults, SandboxMaker
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import Project, at

Sandboxes = Callable[..., AbstractContextManager[Sandbox]]

DEFAULTS = """
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""

ON_TWO_ENGINES = """
  duckdb: {connection: {type: duckdb}}
  postgres:
    connection:
      {type: postgres, host: shop.invalid, port: 5432, user: shop, password: x, database: shop}
"""
"""Gateways on DuckDB and on a PostgreSQL server that no sandbox can reach."""
IN_POSTGRES = DEFAULTS.replace("dialect: duckdb", "dialect: postgres")


def sandboxes_of(templates: Templates) -> Sandboxes:
    """Makes a sandbox of a project, as the fixture `sqlmesh_project` does, with its arguments."""

    @contextmanager
    def made(
        path: Path, *, config: Any = None, setup: Any = None, **arguments: Any
    ) -> Iterator[Sandbox]:
        if not callable(setup):
            # SQL files, as the marker has them.
            arguments["setup"], setup = setup, None
        arguments = {"path": path, "at": "2024-01-05 00:05", **arguments}
        with track_all() as tracker:
            making = maker(templates, config=config, function=setup, **arguments)
            with making.of_test(tracker) as sandbox:
                yield sandbox

    return made


def maker(
    templates: Templates, *, config: Any = None, function: Any = None, **arguments: Any
) -> SandboxMaker:
    """Makes sandboxes as the fixtures do, with the arguments of a marker."""
    defaults = Defaults(arguments, lambda: ".", config, function)
    return SandboxMaker("the marker sqlmesh_project", templates, defaults, lambda _: None)


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

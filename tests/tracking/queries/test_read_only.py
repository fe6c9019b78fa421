"""The configuration with which DuckDB files are only read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig
from sqlmesh.core.config.connection import DuckDBAttachOptions

from pytest_sqlmesh_tracker.tracking.queries.read_only import read_only


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An existing file."""
    path = tmp_path / "shop.db"
    path.touch()
    return str(path)


def reading(**connection: Any) -> DuckDBConnectionConfig:
    """The connection of a gateway, and of its state, as it is only read."""
    own = DuckDBConnectionConfig(**connection)
    config = Config(gateways={"local": GatewayConfig(connection=own, state_connection=own)})
    gateway = read_only(config).get_gateway("local")
    assert gateway.connection == gateway.state_connection
    assert isinstance(gateway.connection, DuckDBConnectionConfig)
    return gateway.connection


def attached(path: str, **options: Any) -> DuckDBAttachOptions:
    return DuckDBAttachOptions(type="duckdb", path=path, **options)


def test_a_database_is_attached_under_its_name(file: str) -> None:
    connection = reading(database=file)
    assert connection.database is None
    assert connection.catalogs == {"shop": attached(file, read_only=True)}
    assert connection.get_catalog() == "shop"


def test_catalogs_keep_their_names_and_order(file: str) -> None:
    connection = reading(catalogs={"b": file, "a": attached(file)})
    assert connection.catalogs == dict.fromkeys("ba", attached(file, read_only=True))
    assert connection.get_catalog() == "b"


def test_a_missing_file_is_empty_and_not_created(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.db")
    assert reading(database=missing).catalogs == {"missing": attached(":memory:")}
    assert reading(database=str(tmp_path / "memory.db")).database == ":memory:"


def test_what_is_no_file_stays_as_it_is(tmp_path: Path) -> None:
    assert reading() == DuckDBConnectionConfig()
    elsewhere = {
        "memory": ":memory:",
        "cloud": "md:shop",
        "remote": "s3://shop/shop.db",
        "lake": DuckDBAttachOptions(type="ducklake", path="shop.ducklake"),
    }
    assert reading(catalogs=elsewhere).catalogs == elsewhere
    # No file can be attached under this name.
    (tmp_path / "memory.db").touch()
    database = str(tmp_path / "memory.db")
    assert reading(database=database) == DuckDBConnectionConfig(database=database)


def test_a_single_gateway_and_the_default_connection(file: str) -> None:
    own = DuckDBConnectionConfig(database=file)
    single: Any = GatewayConfig(connection=own)
    config = read_only(Config(gateways=single, default_connection=own))
    for connection in (config.get_connection(), config.default_connection):
        assert isinstance(connection, DuckDBConnectionConfig)
        assert connection.catalogs == {"shop": attached(file, read_only=True)}

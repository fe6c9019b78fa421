"""Engines that run for tests, each started by its module's function `start`.

Drivers are imported when an engine is started: each engine has an environment of its own.
"""

from __future__ import annotations

from . import bigquery, duckdb, mysql, postgres, snowflake, spark
from .engine import Dialect, Start

ENGINES: dict[str, Start] = {
    "bigquery": bigquery.start,
    "duckdb": duckdb.start,
    "mysql": mysql.start,
    "postgres": postgres.start,
    "snowflake": snowflake.start,
    "spark": spark.start,
}

DIALECTS: tuple[Dialect, ...] = (
    bigquery.DIALECT,
    duckdb.DIALECT,
    mysql.DIALECT,
    postgres.DIALECT,
    snowflake.DIALECT,
    spark.DIALECT,
)

"""Statements that see the sandbox's time on PostgreSQL, and what of a statement stays as it is."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker.sandbox.databases.postgres.clock_functions import SCHEMA
from pytest_sqlmesh_tracker.sandbox.databases.postgres.clock_rewriting import rewritten

MOVED = {
    "SELECT now()": "SELECT c.now()",
    "SELECT NOW ( )": "SELECT c.now ( )",
    "SELECT pg_catalog.now()": "SELECT c.now()",
    "SELECT clock_timestamp(), timeofday()": "SELECT c.clock_timestamp(), c.timeofday()",
    "SELECT CURRENT_DATE": 'SELECT c."current_date"()',
    "SELECT current_date AS current_date": 'SELECT c."current_date"() AS current_date',
    "SELECT LocalTimestamp::date": 'SELECT c."localtimestamp"()::date',
    "SELECT CURRENT_TIMESTAMP(3)": 'SELECT CAST(c."current_timestamp"() AS timestamptz(3))',
    "SELECT LOCALTIME (0)": 'SELECT CAST(c."localtime"() AS time(0))',
    "SELECT t.current_date, t.now FROM t": None,
    "SELECT audit.now(), now(1), now FROM t": None,
    "SELECT 'now()', \"now\"(), E'\\'now()', $$ now() $$, $a$ $$ now() $a$": None,
    "SELECT 1 -- now()\n/* now() /* now() */ now() */, %(now)s": None,
    "SELECT 'it''s', now()": "SELECT 'it''s', c.now()",
    "SELECT $1, now()": "SELECT $1, c.now()",
    "SELECT age(born)": 'SELECT age(c."current_date"(), born)',
    "SELECT extract(year FROM age((SELECT max(a) FROM f(1, 2))))": (
        'SELECT extract(year FROM age(c."current_date"(), (SELECT max(a) FROM f(1, 2))))'
    ),
    "SELECT age(died, born), age()": None,
    "INSERT INTO age (born) VALUES (1)": None,
    "CREATE INDEX ON age (born)": None,
    "WITH a AS (SELECT 1), age (born) AS (SELECT 1) SELECT 1": None,
    "CREATE FUNCTION now() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql": None,
    "DROP FUNCTION now()": None,
    "CREATE FUNCTION f() RETURNS date LANGUAGE sql AS $$ SELECT CURRENT_DATE $$": (
        'CREATE FUNCTION f() RETURNS date LANGUAGE sql AS $$ SELECT c."current_date"() $$'
    ),
    "DO $do$ BEGIN PERFORM now(); END $do$": "DO $do$ BEGIN PERFORM c.now(); END $do$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS $$ now() $$": None,
    "CREATE TABLE t (at timestamptz DEFAULT now()); SELECT now()": (
        "CREATE TABLE t (at timestamptz DEFAULT c.now()); SELECT c.now()"
    ),
}
"""Statements, and what they become; None for those that stay as they are."""


@pytest.mark.parametrize(("sql", "becomes"), MOVED.items(), ids=MOVED.keys())
def test_only_what_reads_the_time_is_replaced(sql: str, becomes: str | None) -> None:
    result = rewritten(sql)
    assert result.sql == (becomes or sql).replace("c.", f"{SCHEMA}.")
    assert result.not_moved == ()


@pytest.mark.parametrize(
    "sql",
    ["SELECT 'today'::text", "SELECT CAST('now' AS VARCHAR)", "SELECT nextval('now'::regclass)"],
)
def test_texts_that_stay_text_are_not_reported(sql: str) -> None:
    result = rewritten(sql)
    assert (result.sql, result.not_moved) == (sql, ())


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("SELECT 'now'::timestamptz", "'now'"),
        ("SELECT DATE 'today', 'today' AS name", "'today'"),
        ("SELECT CAST('Yesterday' AS date)", "'Yesterday'"),
        ("CREATE FUNCTION f() RETURNS date LANGUAGE sql AS 'SELECT now()'", "'SELECT now()'"),
        ("DO $$ BEGIN EXECUTE 'SELECT now()'; END $$", "'SELECT now()'"),
    ],
)
def test_texts_that_read_the_time_are_reported(sql: str, part: str) -> None:
    result = rewritten(sql)
    assert (result.sql, result.not_moved) == (sql, (part,))

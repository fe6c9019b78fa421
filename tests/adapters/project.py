"""A small shop in the dialect of an engine: most kinds of models, audits, and what can fail.

Faults and witnesses are tables of the schema `ctl` with one column. The rows that a model writes
contain the number of the invocation that wrote them, as `ctl.invocation` has it.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from textwrap import dedent

from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from .engines.engine import Dialect

DAYS = 7
"""From 2024-01-01 on, there is an event each hour."""
CONTROLS = {"invocation": [0], "rates": [1], "bad_rows": [], "odd_rows": []}
"""Tables of the schema `ctl`, with their values at the beginning."""
WRITTEN = {"daily", "hourly", "customers", "visits", "totals", "priced", "invoices", "by_python"}
"""Models whose tables show which invocation wrote them."""
TABLES = WRITTEN | {"raw_events", "history", "history_by_column", "totals_view"}

_FILES = {
    "models/raw_events.sql": """
        MODEL (
          name shop.raw_events,
          kind SEED (path '../seeds/raw_events.csv'),
          columns (
            id $integer, customer $integer, amount $integer, event_ts $timestamp, ds DATE
          )
        );
    """,
    "models/daily.sql": """
        MODEL (
          name shop.daily,
          kind INCREMENTAL_BY_TIME_RANGE (time_column ds, batch_size 1),
          cron '@daily',
          audits (not_null(columns := (ds)), no_bad_rows)
        );
        SELECT
          e.ds,
          CAST(SUM(e.amount) AS $integer) AS amount,
          CAST(COUNT(*) AS $integer) AS n,
          CAST(MAX(i.v) AS $integer) AS written_by
        FROM shop.raw_events AS e
        CROSS JOIN ctl.invocation AS i
        WHERE e.ds BETWEEN @start_ds AND @end_ds
        GROUP BY e.ds
    """,
    "models/hourly.sql": """
        MODEL (
          name shop.hourly,
          kind INCREMENTAL_BY_TIME_RANGE (time_column ts),
          cron '@hourly',
          audits (no_odd_rows)
        );
        SELECT e.id, e.customer, e.event_ts AS ts, CAST(i.v AS $integer) AS written_by
        FROM shop.raw_events AS e
        CROSS JOIN ctl.invocation AS i
        WHERE e.event_ts BETWEEN @start_ts AND @end_ts
    """,
    "models/customers.sql": """
        MODEL (
          name shop.customers,
          kind INCREMENTAL_BY_UNIQUE_KEY (unique_key customer),
          cron '@daily'
        );
        SELECT
          e.customer,
          CAST(COUNT(*) AS $integer) AS n,
          CAST(MAX(i.v) AS $integer) AS written_by
        FROM shop.raw_events AS e
        CROSS JOIN ctl.invocation AS i
        WHERE e.event_ts BETWEEN @start_ts AND @end_ts
        GROUP BY e.customer
    """,
    "models/visits.sql": """
        MODEL (name shop.visits, kind FULL, cron '@daily');
        SELECT
          h.customer,
          CAST(MAX(h.ts) AS $timestamp) AS updated_at,
          CAST(COUNT(*) AS $integer) AS n,
          CAST(MAX(i.v) AS $integer) AS written_by
        FROM shop.hourly AS h
        CROSS JOIN ctl.invocation AS i
        GROUP BY h.customer
    """,
    "models/history.sql": """
        MODEL (
          name shop.history,
          kind SCD_TYPE_2_BY_TIME (unique_key customer, updated_at_name updated_at),
          cron '@daily'
        );
        SELECT customer, n, updated_at FROM shop.visits
    """,
    "models/history_by_column.sql": """
        MODEL (
          name shop.history_by_column,
          kind SCD_TYPE_2_BY_COLUMN (unique_key customer, columns (n)),
          cron '@daily'
        );
        SELECT customer, n FROM shop.visits
    """,
    "models/totals.sql": """
        MODEL (name shop.totals, kind FULL, cron '@daily');
        SELECT
          CAST(SUM(d.amount) AS $integer) AS amount,
          CAST(SUM(d.n) AS $integer) AS n,
          CAST(MAX(i.v) AS $integer) AS written_by
        FROM shop.daily AS d
        CROSS JOIN ctl.invocation AS i
    """,
    "models/totals_view.sql": """
        MODEL (name shop.totals_view, kind VIEW, cron '@daily');
        SELECT amount, n FROM shop.totals
    """,
    "models/priced.sql": """
        MODEL (
          name shop.priced,
          kind FULL,
          cron '@daily',
          columns (rate $integer, written_by $integer)
        );
        SELECT CAST(r.v AS $integer) AS rate, CAST(i.v AS $integer) AS written_by
        FROM ctl.rates AS r
        CROSS JOIN ctl.invocation AS i
    """,
    "models/invoices.sql": """
        MODEL (name shop.invoices, kind FULL, cron '@daily');
        SELECT p.rate + 1 AS price, CAST(i.v AS $integer) AS written_by
        FROM shop.priced AS p
        CROSS JOIN ctl.invocation AS i
    """,
    "models/by_python.py": """
        from sqlglot import parse_one
        from sqlmesh import model

        @model(
            "shop.by_python",
            kind="FULL",
            cron="@daily",
            columns={"amount": "$integer", "written_by": "$integer"},
            depends_on=["shop.totals"],
        )
        def execute(context, start, end, execution_time, **kwargs):
            totals = context.resolve_table("shop.totals")
            query = f"SELECT t.amount, i.v FROM {totals} AS t CROSS JOIN ctl.invocation AS i"
            # SQLMesh would not transpile the text for a sandbox.
            frame = context.fetchdf(parse_one(query, dialect="$dialect"))
            frame.columns = ["$amount", "$written_by"]
            return frame
    """,
    "audits/audits.sql": """
        AUDIT (name no_bad_rows, dialect $dialect);
        SELECT * FROM ctl.bad_rows;

        AUDIT (name no_odd_rows, dialect $dialect, blocking false);
        SELECT * FROM ctl.odd_rows;
    """,
    "audits/no_refunds.sql": """
        AUDIT (name no_refunds, dialect $dialect, standalone true, cron '@daily');
        SELECT * FROM shop.daily WHERE amount < 0;
    """,
}


def write_project(folder: Path, dialect: Dialect, left_out: frozenset[str] = frozenset()) -> None:
    """Write all files of the project, without a configuration and some of the models."""
    words = {
        "dialect": dialect.name,
        "integer": dialect.integer,
        "timestamp": dialect.timestamp,
        # The names of a data frame's columns are compared with those of the model as they are.
        **{
            name: normalize_identifiers(name, dialect=dialect.name).name
            for name in ("amount", "written_by")
        },
    }
    for file, text in _FILES.items():
        if Path(file).stem not in left_out:
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(dedent(text)).substitute(words))
    (folder / "seeds").mkdir()
    (folder / "seeds" / "raw_events.csv").write_text(_events())


def _events() -> str:
    lines = ["id,customer,amount,event_ts,ds"]
    for hour in range(DAYS * 24):
        day, time = f"2024-01-{1 + hour // 24:02}", f"{hour % 24:02}:15:00"
        lines.append(f"{hour},{hour % 5},{hour % 7 + 1},{day} {time},{day}")
    return "\n".join(lines) + "\n"

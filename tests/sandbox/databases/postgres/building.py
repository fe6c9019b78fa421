"""Projects in PostgreSQL, whose own server no sandbox can reach."""

from __future__ import annotations

from pathlib import Path

from tests.projects import Project, read_between
from tests.sandbox.building import project

DEFAULTS = """
model_defaults: {dialect: postgres, start: 2024-01-01}
disable_anonymized_analytics: true
"""
NOWHERE = "host: warehouse.invalid, port: 5432, password: secret"
"""The user's server, which no sandbox can reach."""
HOURS = "SELECT ts, 8 AS amount FROM GENERATE_SERIES(@start_dt, @end_dt, INTERVAL '1 day') AS _(ts)"


def gateway(database: str = "warehouse", more: str = "") -> str:
    """A gateway `wh` with this database, as YAML."""
    return f"{{type: postgres, {NOWHERE}, user: shop, database: {database}{more}}}"


def payroll(path: Path, gateways: str, more: str = "") -> Project:
    """Hours that are booked a day a batch, and slips that are written from them."""
    made = project(path, gateways, DEFAULTS + more)
    made.incremental("pay.hours", HOURS, options=", batch_size 1", cron="'@daily'")
    made.incremental("pay.slips", read_between("pay.hours"), cron="'@daily'")
    made.model("pay.total", "SELECT SUM(amount) AS amount FROM pay.slips", kind="VIEW")
    return made

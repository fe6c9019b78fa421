"""Small projects whose templates are kept or not."""

from __future__ import annotations

from pathlib import Path

from tests.projects import Project

from .sessions import CONFIGS

PYTHON = """
{imports}
from sqlmesh import model

@model("shop.made", columns={{"n": "int"}}, cron="@daily", kind="FULL")
def made(context, **kwargs):
    import pandas as pd

    {statement}
    return pd.DataFrame({{"n": [1]}})
"""


def made_by(
    folder: Path,
    statement: str = "",
    *,
    imports: str = "",
    query: str = "SELECT 1 AS n",
    engine: str = "duckdb",
) -> Path:
    """A project with a Python model that executes this statement, and a query."""
    shop = Project(folder)
    shop.write("config.yaml", CONFIGS[engine])
    shop.write("models/one.sql", f"MODEL (name shop.one, kind FULL); {query}")
    if statement:
        shop.write("models/made.py", PYTHON.format(imports=imports, statement=statement))
    return folder

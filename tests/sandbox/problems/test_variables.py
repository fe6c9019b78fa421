"""Typos in a test's variables: rejected if they are certain, accepted otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.files.loading import read_configs
from pytest_sqlmesh_tracker.sandbox.options import SandboxError, project_options
from pytest_sqlmesh_tracker.sandbox.problems.variables import check_variables
from tests.projects import Project
from tests.sandbox.building import DEFAULTS, Sandboxes, project

LOCAL = "{local: {connection: {type: duckdb}, variables: {tenant: a}}}"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A project with a variable in its configuration, in its gateway, and with a default."""
    made = project(tmp_path, LOCAL, f"variables: {{Region: eu}}\n{DEFAULTS}")
    made.model("shop.a", "SELECT @region AS region, @VAR('batch_limit', 3) AS n, @tenant AS t")
    return made


@pytest.mark.parametrize(
    ("name", "close"),
    [("regoin", "region"), ("tenants", "tenant"), ("BATCH_LIMITS", "batch_limit")],
)
def test_a_typo_is_an_error_with_the_close_name(
    shop: Project, sandboxes: Sandboxes, name: str, close: str
) -> None:
    # The test that gives it is often below the project's folder.
    shop.write("tests/test_a.py", f"import pytest\nVARIABLES = {{'{name}': 1}}\n")

    with pytest.raises(SandboxError, match=rf"{name.lower()}.*did you mean {close}\?"):
        with sandboxes(shop.path, variables={name: "x"}):
            pass


def test_a_variable_that_is_declared_or_read_is_accepted_in_any_case(
    shop: Project, sandboxes: Sandboxes
) -> None:
    with sandboxes(shop.path, variables={"REGION": "us", "Batch_Limit": 5, "tenant": "b"}) as copy:
        assert copy.fetch("SELECT * FROM shop.a") == [("us", 5, "b")]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("models/b.sql", "MODEL (name shop.b); SELECT @regions AS x"),
        ("models/b.sql", "MODEL (name shop.b); SELECT @VAR('Regions', 'none') AS x"),
        ("models/b.sql", "MODEL (name shop.b); JINJA_QUERY_BEGIN; SELECT {{ var('regions') }} AS x;"
                         " JINJA_END;"),
        ("macros/b.py", "def read(evaluator):\n    return evaluator.var('regions')\n"),
        ("macros/b.py", "def read(evaluator):\n    return evaluator.var('region' + 's')\n"),
        ("macros/b.py", "def read(evaluator):\n    return evaluator.var(f'region{1}')\n"),
        ("macros/b.py", "NAME = 's'\ndef read(evaluator):\n    return evaluator.var(NAME)\n"),
        ("macros/b.py", "def read(evaluator):\n    return evaluator.locals\n"),
        ("macros/b.py", "import the_macros_of_the_company\n"),
        ("signals/b.py", "def read(context):\n    return context.var('regions', None)\n"),
    ],
)  # fmt: skip
def test_a_variable_that_code_may_read_is_accepted(shop: Project, file: str, code: str) -> None:
    shop.write(file, code)

    options = project_options({"path": shop.path, "variables": {"regions": "x"}})
    configs = read_configs([shop.path], None).values()

    check_variables(dict(options.variables), configs, shop.path)


def test_a_variable_unlike_any_other_is_accepted(shop: Project, sandboxes: Sandboxes) -> None:
    with sandboxes(shop.path, variables={"something_else": 1}) as copy:
        assert copy.fetch("SELECT region FROM shop.a") == [("eu",)]

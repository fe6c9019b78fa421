"""Settings of all tests, those of the sample projects as well."""

from __future__ import annotations

import inspect
import os
from functools import partial

from tests.installed_packages import keep_installed_packages

# SQLMesh loads models in a pool of processes; a handful of them is loaded sooner in this one. It
# reads the variable when it is imported, which no plugin and no conftest.py does before.
os.environ.setdefault("MAX_FORK_WORKERS", "1")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes that tests start are not measured: that takes longer, and tells little more.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

keep_installed_packages()

# With each run and plan, SQLMesh looks up who called it: the names of the callers' files. Their
# lines, which nobody reads, take three times as long to find.
vars(inspect)["stack"] = partial(inspect.stack, 0)

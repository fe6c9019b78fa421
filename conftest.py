"""Settings of all tests, those of the sample projects as well."""

from __future__ import annotations

import os

# SQLMesh loads models in a pool of processes; a handful of them is loaded sooner in this one. It
# reads the variable when it is imported, which no plugin and no conftest.py does before.
os.environ.setdefault("MAX_FORK_WORKERS", "1")

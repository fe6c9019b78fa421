"""Settings of all tests, those of the sample projects as well."""

from __future__ import annotations

import inspect
import os
import traceback

from hypothesis import settings

from tests.installed_packages import keep_installed_packages

# Coverage is measured with fewer drawn examples, which it makes slow, and always the same ones.
settings.register_profile("measured", max_examples=12, derandomize=True)
settings.register_profile("default", max_examples=50)

# SQLMesh loads models in a pool of processes; a handful of them is loaded sooner in this one. It
# reads the variable when it is imported, which no plugin and no conftest.py does before.
os.environ.setdefault("MAX_FORK_WORKERS", "1")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes that tests start are not measured: that takes longer, and tells little more.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

keep_installed_packages()


def _stack(_context: int = 1) -> list[inspect.FrameInfo]:
    """The callers, without the lines of their files, which are slow to find."""
    frames = (frame for frame, _ in traceback.walk_stack(inspect.currentframe()))
    return [
        inspect.FrameInfo(
            each, each.f_code.co_filename, each.f_lineno, each.f_code.co_name, None, None
        )
        for each in frames
    ][1:]


# With each run and plan, SQLMesh looks up who called it, but reads only the names of the files.
vars(inspect)["stack"] = _stack

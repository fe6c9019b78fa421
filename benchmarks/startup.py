"""What loading the plugin adds to the start of a pytest session.

Rounds of `pytest --co -q` in an empty folder, alone and with the plugin in turn. Each pair gives
one difference; an A/A pair beside it shows the noise. Times are whole processes; other plugins are
left out, so that they do not hide what this one costs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 60
ALONE: tuple[str, ...] = ()
WITH_PLUGIN = ("-p", "pytest_sqlmesh_tracker.plugin")


def seconds(folder: str, options: tuple[str, ...]) -> float:
    """One session's whole run time."""
    command = [sys.executable, "-m", "pytest", "--co", "-q", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    # Where it is set, each session would compile the plugin anew, which users' sessions do not.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print medians, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(folder, WITH_PLUGIN)
        rounds = [
            (seconds(folder, ALONE), seconds(folder, WITH_PLUGIN), seconds(folder, ALONE))
            for _ in range(ROUNDS)
        ]
    alone = statistics.median(before for before, _, _ in rounds) * 1000
    added = statistics.median(loaded - before for before, loaded, _ in rounds) * 1000
    noise = statistics.median(after - before for before, _, after in rounds) * 1000
    print(f"pytest alone     {alone:.1f} ms")  # noqa: T201
    print(f"the plugin adds  {added:+.1f} ms (A/A control {noise:+.1f} ms)")  # noqa: T201


if __name__ == "__main__":
    main()

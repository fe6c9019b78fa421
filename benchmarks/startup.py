"""What loading the plugin adds to the start of a pytest session.

Rounds of `pytest --co -q` in an empty folder, with and without the plugin in turn; each pair gives
one difference, and an A/A pair beside it shows the noise. Times are whole processes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 40
WITH: tuple[str, ...] = ()
WITHOUT = ("-p", "no:sqlmesh_tracker")


def seconds(folder: str, options: tuple[str, ...]) -> float:
    """One session's whole run time."""
    command = [sys.executable, "-m", "pytest", "--co", "-q", "-p", "no:cacheprovider", *options]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print medians, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(folder, WITH)
        rounds = [
            (seconds(folder, WITHOUT), seconds(folder, WITH), seconds(folder, WITHOUT))
            for _ in range(ROUNDS)
        ]
    alone = statistics.median(before for before, _, _ in rounds) * 1000
    added = statistics.median(loaded - before for before, loaded, _ in rounds) * 1000
    noise = statistics.median(after - before for before, _, after in rounds) * 1000
    print(f"pytest without the plugin {alone:.1f} ms")  # noqa: T201
    print(f"the plugin adds           {added:+.1f} ms (A/A control {noise:+.1f} ms)")  # noqa: T201


if __name__ == "__main__":
    main()

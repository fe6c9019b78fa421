"""Processes that append to one history, and are killed at random."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

_LONGEST_WAITS = (10.0, 0.02)
"""In seconds: with the second one, many reports are written beside the history."""


def main() -> None:
    """Append reports with the ids that come in, and print each as soon as it is on disk."""
    from pytest_sqlmesh_tracker.history.appending import append
    from pytest_sqlmesh_tracker.reports.files import Entry
    from tests.builders import executed, run

    history, longest_wait = Path(sys.argv[1]), float(sys.argv[2])
    report = run(executed("a.x"), executed("a.y"))
    for line in sys.stdin:
        one = report.model_copy(update={"id": UUID(line.strip())})
        append(history, [Entry(None, one)], source="cli", longest_wait=longest_wait)
        print(one.id, flush=True)  # noqa: T201


class Writer:
    """A process that appends; after it was killed, another one goes on, beginning with the report
    that the killed one had not acknowledged."""

    def __init__(self, history: Path, ids: list[UUID], longest_wait: float) -> None:
        self._command = [
            sys.executable,
            "-m",
            "tests.history.writers",
            str(history),
            str(longest_wait),
        ]
        self._left = list(ids)
        self.acknowledged: list[UUID] = []
        self.killed = 0
        self.start()

    def start(self) -> None:
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=writing, text=True
        )
        os.close(writing)
        self._output = os.fdopen(reading)
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{id_}\n" for id_ in self._left))
        self._process.stdin.close()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.killed += 1

    def collect(self) -> bool:
        """Take note of what the ended process has acknowledged; whether all has been."""
        self._process.wait()
        with self._output as output:
            done = [UUID(line.strip()) for line in output if line.endswith("\n")]
        self.acknowledged += done
        self._left = self._left[len(done) :]
        return not self._left


def kill_at_random(history: Path, ids: list[list[UUID]], *, kills: int, seed: int) -> list[Writer]:
    """Let writers append, a list of ids each, and kill one of them again and again."""
    rng = random.Random(seed)
    waits = [_LONGEST_WAITS[number % 2] for number in range(len(ids))]
    writers = [Writer(history, each, wait) for each, wait in zip(ids, waits, strict=True)]
    running = list(writers)
    while running:
        time.sleep(rng.uniform(0.0, 0.3))
        alive = [writer for writer in running if not writer.ended]
        if alive and kills and history.exists():
            kills -= 1
            rng.choice(alive).kill()
            continue
        for writer in [writer for writer in running if writer.ended]:
            if writer.collect():
                running.remove(writer)
            else:
                writer.start()
    return writers


if __name__ == "__main__":
    main()

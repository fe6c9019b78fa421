"""Kills processes at many moments while they plan and keep a template. Not a test: a script.

It prints how many of them had kept their template, and fails if one is broken.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from .sessions import Sessions


def _plan(folder: Path, project: Path) -> float:
    """Plan the project in a process of its own, and return how many seconds that took."""
    began = time.perf_counter()
    os.waitpid(_started(folder, project), 0)
    return time.perf_counter() - began


def _started(folder: Path, project: Path) -> int:
    process = os.fork()
    if process:
        return process
    try:
        folder.mkdir(exist_ok=True)
        Sessions(folder).keep(project)
    finally:
        os._exit(0)


def _reads(folder: Path, project: Path) -> bool:
    """Whether a template is reused in a process of its own, which must be able to use it."""
    process = os.fork()
    if not process:
        code = 2
        try:
            sessions = Sessions(folder)
            if sessions.would_reuse(project):
                with sessions.sandbox(project) as (sandbox, _):
                    ok = sandbox.fetch("SELECT * FROM shop.one") == [(1,)]
                    code = 0 if ok and sandbox.run(at="+1 day").executed else 2
            else:
                code = 1
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, 1):
        sys.exit(f"a broken template was used: {code}")
    return code == 0


def main(folder: Path, project: Path, moments: int) -> None:
    length = _plan(folder / "whole", project)
    if not _reads(folder / "whole", project):
        sys.exit("the template is not kept")
    kept = 0
    for moment in range(moments):
        place = folder / str(moment)
        place.mkdir()
        process = _started(place, project)
        time.sleep(length * (moment + 0.5) / moments)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        # The lock ended with the process, so this does not wait.
        kept += _reads(place, project)
        shutil.rmtree(place)
    print(f"{kept} of {moments} were kept")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

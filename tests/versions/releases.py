"""Which new releases of SQLMesh, Dagster and pytest break what: `make compat-new`, on a schedule.

Each new release is tried alone, with the other versions of the newest combination that passed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from .environments import SHOWN, Result, run, say
from .targets import ASSETS, EVERYTHING, PLUGIN, PROCESSES, TARGETS, Target

_TESTS = {"sqlmesh": EVERYTHING, "dagster": (*ASSETS, *PROCESSES), "pytest": PLUGIN}


def newest(name: str) -> str:
    """The version of a package that pip would install."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    ran = subprocess.run(
        [*pip, "--no-deps", "--report", "-", name], capture_output=True, text=True, check=True
    )
    (install,) = json.loads(ran.stdout)["install"]
    version: str = install["metadata"]["version"]
    return version


def new_releases(known: tuple[str, str, str]) -> list[Target]:
    """A combination for each release that is newer than the known ones."""
    (base,) = (target for target in TARGETS if target.name == "newest")
    pinned = replace(base, sqlmesh=known[0], dagster=known[1], pytest=known[2])
    targets = []
    for name, version in zip(SHOWN, known, strict=True):
        released = newest(name)
        if released != version:
            target = replace(
                pinned, name=f"{name}-{released}", what=f"{name} {released}", tests=_TESTS[name]
            )
            changed = {
                "sqlmesh": replace(target, sqlmesh=released),
                "dagster": replace(target, dagster=released),
                "pytest": replace(target, pytest=released),
            }
            targets.append(changed[name])
    return targets


def main() -> int:
    """Try each new release, and return 1 if one of them breaks something."""
    known = Result.load("newest")
    if known is None or not known.passed:
        say("The newest combination has not passed yet: run `make compat-newest` first.")
        return 2
    targets = new_releases(known.versions)
    results = [run(target) for target in targets]
    for target, result in zip(targets, results, strict=True):
        verdict = "works" if result.passed else "BREAKS"
        say(f"\n{target.what} {verdict}: {result.outcome}")
        for name in result.failed:
            say(f"  {name}")
    if not targets:
        say(f"No new release: {', '.join(map(' '.join, zip(SHOWN, known.versions, strict=True)))}.")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Run the tests with some combinations of versions, or with all: `make compat`, `make compat-NAME`.

With all, the table of the documentation is written anew.
"""

from __future__ import annotations

import sys

from . import table
from .environments import run, say
from .targets import TARGETS


def main(requested: list[str]) -> int:
    """Run the requested combinations, or all; the exit code is 1 if one of them fails.

    `--full` runs all tests of those that are requested.
    """
    full = "--full" in requested
    names = {name for name in requested if name != "--full"}
    unknown = names - {target.name for target in TARGETS}
    if unknown:
        known = ", ".join(target.name for target in TARGETS)
        sys.exit(f"no such combination: {', '.join(sorted(unknown))}; there are {known}")
    targets = [target for target in TARGETS if not names or target.name in names]
    documented = full or not names
    results = []
    for target in targets:
        result = run(target if documented else target.shortened())
        if documented:
            result.save()
        results.append(result)
    say(f"\n{'combination':<16}{'SQLMesh':<10}{'Dagster':<10}{'pytest':<8}{'Python':<9}{'s':>6}")
    for each in results:
        sqlmesh, dagster, pytest = each.versions
        versions = f"{each.target:<16}{sqlmesh:<10}{dagster:<10}{pytest:<8}{each.python:<9}"
        say(f"{versions}{each.seconds:>6.0f}  {each.outcome}")
    if documented:
        table.write()
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

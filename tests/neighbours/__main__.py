"""All neighbours, alone and with the plugin, without and with pytest-xdist: `make neighbours`."""

from __future__ import annotations

import sys
import tempfile
from importlib import metadata
from pathlib import Path

from .sessions import differences
from .suites import CHEAP, OTHERS, Neighbour


def main() -> int:
    """Play them and print a table; the exit code is 1 if the plugin changes a session."""
    lines, failed = [], False
    with tempfile.TemporaryDirectory() as folder:
        for neighbour in (*CHEAP, *OTHERS):
            line = f"{neighbour.name:<22}{_version(neighbour):<12}"
            for workers in (0, 2):
                place = Path(folder) / f"{neighbour.name}-{workers}"
                changed = differences(neighbour, place, workers=workers)
                failed |= bool(changed)
                line += f"{'CHANGED' if changed else 'the same':<12}"
                for change in changed:
                    print(f"{neighbour.name}, {workers} workers: {change}", flush=True)  # noqa: T201
            lines.append(line)
    print(f"{'neighbour':<22}{'version':<12}{'plain':<12}{'xdist -n 2':<12}", *lines, sep="\n")  # noqa: T201
    return int(failed)


def _version(neighbour: Neighbour) -> str:
    try:
        return metadata.version(neighbour.name)
    except metadata.PackageNotFoundError:
        return "-"


if __name__ == "__main__":
    sys.exit(main())

"""The table of tested versions in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .environments import ROOT, Result
from .targets import TARGETS, Target

CHAPTER = ROOT / "docs" / "versions-and-cost.md"
_BLOCK = re.compile(r"(<!-- made by make compat -->\n).*?(<!-- end -->)", re.DOTALL)


def table(results: Iterable[tuple[Target, Result | None]]) -> str:
    """The lines of the table; a combination without a result of this version is not tested."""
    results = list(results)
    package = {result.package for _, result in results if result}
    lines = [
        f"With version {', '.join(sorted(package))} of this package:\n",
        "| SQLMesh | Dagster | pytest | Python | tested | tests |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for target, result in results:
        cells = ("", "", "", target.python, target.what, "not tested")
        if result:
            cells = (*result.versions, result.python, target.what, result.outcome)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write() -> None:
    """Write the newest result of each combination into the chapter."""
    made = table((target, Result.load(target.name)) for target in TARGETS)
    text = CHAPTER.read_text()
    CHAPTER.write_text(_BLOCK.sub(lambda block: f"{block[1]}{made}{block[2]}", text))

"""What a chapter quotes under its headings, and whether something printed it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
QUOTATION = re.compile(r"^### ([^\n]+)\n+```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def quotations(chapter: str) -> dict[str, str]:
    """Heading → the message that the chapter quotes right below it."""
    return dict(QUOTATION.findall((DOCS / chapter).read_text()))


def not_printed(quotation: str, output: str) -> list[str]:
    """The lines of a quotation that are not printed, in their order; `…` stands for any text."""
    printed = [re.sub(r"^(E   )?\s*", "", line).rstrip() for line in output.splitlines()]
    missing, place = [], 0
    for line in filter(None, (line.strip() for line in quotation.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        matches = (n for n, text in enumerate(printed[place:], place) if pattern.search(text))
        found_at = next(matches, None)
        if found_at is None:
            missing.append(line)
        else:
            place = found_at + 1
    return missing


def sample_in(folder: Path, name: str) -> Path:
    """A copy of a sample project in `sample_projects`, next to which an example is run."""
    sample = Path("sample_projects", name)
    ignored = shutil.ignore_patterns("tests", "__pycache__", ".cache", "*.duckdb*")
    return Path(shutil.copytree(DOCS.parent / sample, folder / sample, ignore=ignored))

"""What is in the wheel and in the source distribution: `make dist`."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_sqlmesh_tracker"
REQUIRED = (f"{PACKAGE}/py.typed", f"{PACKAGE}/reports/report.schema.json")
BESIDE = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
"""What the source distribution has beside the package."""


def complaints(folder: Path) -> list[str]:
    """What is wrong with the distributions in a folder, which must be one of each kind."""
    wheels, sources = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        return [f"{folder} has {len(wheels)} wheels and {len(sources)} source distributions"]
    with zipfile.ZipFile(wheels[0]) as wheel:
        in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    with tarfile.open(sources[0]) as source:
        files = [PurePosixPath(each.name) for each in source.getmembers() if each.isfile()]
    in_source = {str(PurePosixPath(*file.parts[1:])) for file in files}
    return [
        *_differences(wheels[0].name, in_wheel, set()),
        *_differences(sources[0].name, in_source, BESIDE),
    ]


def _differences(name: str, files: set[str], beside: set[str]) -> list[str]:
    """How a distribution differs from the package's own files and those beside it."""
    own = {
        str(path.relative_to(ROOT).as_posix())
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected = own | set(REQUIRED) | beside
    return [
        *(f"{name} lacks {file}" for file in sorted(expected - files)),
        *(f"{name} must not have {file}" for file in sorted(files - expected)),
    ]


def main(folder: str) -> int:
    """Print what is wrong; the exit code is 1 if anything is."""
    wrong = complaints(Path(folder))
    print(*wrong or [f"{folder}: both distributions have the package's files"], sep="\n")  # noqa: T201
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

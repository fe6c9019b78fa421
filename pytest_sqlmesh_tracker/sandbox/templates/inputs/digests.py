"""Digests of contents: of values, files and folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from glob import iglob
from pathlib import Path

ABSENT = "absent"
"""The digest of a file or folder that does not exist or can't be read."""


def digest(*texts: str) -> str:
    """The digest of texts, in order."""
    hashed = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(encoded) + encoded)
    return hashed.hexdigest()


def digest_of_file(path: str | os.PathLike[str]) -> str:
    """The digest of a file's content."""
    hashed = hashlib.blake2b(digest_size=16)
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    except OSError:
        return ABSENT
    return hashed.hexdigest()


def digest_of_files(folder: Path, paths: Iterable[Path]) -> str:
    """The digest of the names, below a folder, and the contents of files."""
    return digest(
        *(text for p in sorted(paths) for text in (str(p.relative_to(folder)), digest_of_file(p)))
    )


def digest_of_names(folder: str) -> str:
    """The digest of the names in a folder."""
    try:
        return digest(*sorted(set(os.listdir(folder)) - {"__pycache__"}))  # noqa: PTH208
    except OSError:
        return ABSENT


def digest_of_matches(pattern: str) -> str:
    """The digest of the names that match a glob."""
    return digest(*sorted(iglob(pattern, recursive=True)))  # noqa: PTH207


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())

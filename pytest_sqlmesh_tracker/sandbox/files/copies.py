"""Copies of a project's files: one of the user's project, and one of that copy for each test."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

_Error = TypeVar("_Error", bound=Exception)

_NOT_COPIED = shutil.ignore_patterns(
    ".cache", ".git", ".hg", ".venv", ".tox", ".nox", ".*_cache", ".hypothesis", "__pycache__",
    "node_modules", "*.duckdb", "*.duckdb.wal", "*.db", "*.db.wal", "*.ddb", "*.ddb.wal",
)  # fmt: skip
"""What a copy of a project does not need: caches, environments, and databases, which are copied
if a gateway names them."""
_NOT_COPIED_AT_THE_TOP = {"logs", "venv"}
"""Folders with these names can contain models further down."""


def place_of_copy(path: Path, folder: Path) -> Path:
    """The place of the copy of a user's path below the folder, which repeats the whole path."""
    return folder / path.relative_to(path.anchor)


def copy_paths(paths: Iterable[Path], folder: Path, scratch: Path) -> None:
    """Copy the project's files below the folder, each at its whole path.

    This leaves a place for what lies beside the project, however many folders up: see `bring`.

    Args:
        scratch: a folder that is not copied: it contains the sandboxes of this process and of
            others, and can be below the project itself (`pytest --basetemp`).
    """
    paths = list(paths)
    scratch = scratch.resolve()

    def not_copied(below: str, names: list[str]) -> set[str]:
        ignored = set(_NOT_COPIED(below, names))
        if Path(below) in paths:
            ignored |= _NOT_COPIED_AT_THE_TOP.intersection(names)
        return ignored | {name for name in names if _is_excluded(Path(below, name), scratch)}

    for path in paths:
        shutil.copytree(
            path,
            place_of_copy(path, folder),
            ignore=not_copied,
            ignore_dangling_symlinks=True,
            dirs_exist_ok=True,
        )


def bring(message: str, folder: Path, anchor: str) -> bool:
    """Copy the user's files beside the project that an error reports as missing below the folder.

    Args:
        message: the error's message, which may name several files.
        anchor: the root of the user's paths.

    Returns:
        Whether any files were copied.
    """
    missing = {Path(os.path.normpath(path)) for _, path in _MISSING.findall(message)}
    brought = False
    for place in missing:
        if folder in place.parents and not place.exists():
            own = Path(anchor, place.relative_to(folder))
            if own.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(own, place)
                brought = True
    return brought


_MISSING = re.compile(r"No such file or directory: (['\"])(.+?)\1")
"""SQLMesh loads models in separate processes, and keeps only the messages of their errors."""


class UsersPaths:
    """The paths of a user's project, for messages: users edit their own files, not the copies."""

    def __init__(self, copies: Mapping[Path, Path]) -> None:
        """Each folder with a copy → the user's own."""
        names = {
            str(each): str(own).rstrip(os.sep)
            for copy, own in copies.items()
            for each in _spellings(copy)
        }
        # A folder below another one comes first.
        self._names = {copy: names[copy] for copy in sorted(names, key=len, reverse=True)}

    @classmethod
    def of_copies(cls, paths: Iterable[Path], folders: Iterable[Path]) -> UsersPaths:
        """The paths of a project that has a copy in each of the sandboxes' folders."""
        paths = list(paths)
        copies: dict[Path, Path] = {}
        for copy in (folder / "project" for folder in folders):
            for path in paths:
                copies[copy] = Path(path.anchor)
                copies[place_of_copy(path, copy)] = path
        return cls(copies)

    def in_text(self, text: str) -> str:
        """The text, with the user's own paths in place of the paths of copies."""
        for copy, own in self._names.items():
            text = text.replace(copy, own)
        return text

    def in_error(self, error: _Error) -> _Error:
        """The error, after changing its message to the user's own paths, without escape codes."""
        first, *rest = error.args or ("",)
        if isinstance(first, str):
            error.args = (self.in_text(without_escape_codes(first)), *rest)
        return error


def _spellings(path: Path) -> set[Path]:
    return {path, path.resolve()}


def _is_excluded(entry: Path, scratch: Path) -> bool:
    """Whether the entry belongs to the sandboxes, or links to a folder that contains it."""
    if not entry.is_symlink():
        return entry == scratch
    target = entry.resolve()
    return scratch in (target, *target.parents) or target in entry.parents


class Files:
    """The files of a template's project, and a copy of them that a test has left unchanged.

    Creating files takes longer than anything else a test's copy needs, and few tests change any.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder's present content as what every test starts with."""
        self._folder = folder
        self._spare = folder.with_name("spare")
        self._original = _stamps(folder)

    def copy(self, target: Path, *, of: Path | None = None) -> None:
        """Put a copy of the files at the target that no other test uses.

        Args:
            of: the copy whose present content is copied, if not what every test starts with.
        """
        if of is not None and _stamps(of) != self._original:
            shutil.copytree(of, target, ignore=_CACHES)
            return
        if self._spare.exists():
            self._spare.rename(target)
            return
        shutil.copytree(self._folder, target, ignore=_CACHES)

    def take_back(self, copy: Path) -> None:
        """Keep a copy for the next test if nothing in it was written since it was made."""
        if copy.exists() and not self._spare.exists() and _stamps(copy) == self._original:
            copy.rename(self._spare)


_CACHES = shutil.ignore_patterns(".cache", "__pycache__")


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with its size and the time of its last change.

    A copy has the times of its original; writing a file changes its time.
    """
    return {entry.path[len(str(folder)) :]: _stamp(entry) for entry in _entries(str(folder))}


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in (".cache", "__pycache__"):
                continue
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int]:
    if entry.is_dir(follow_symlinks=False):
        return 0, 0
    status = entry.stat(follow_symlinks=False)
    return status.st_size, status.st_mtime_ns

"""The folder with the templates that outlive their sessions.

Templates are unpickled, which can execute code. So the folder must belong to the user, and be
accessible to nobody else.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.inputs.digests import digest_of_files, files_below
from pytest_sqlmesh_tracker.sandbox.templates.inputs.manifest import Manifest

try:
    import fcntl
except ImportError:  # On Windows, no template is kept.
    fcntl = None  # type: ignore[assignment]

_MANIFEST, _CONTENTS, _SUM = "manifest.json", "contents", "contents.sum"
_BEING_WRITTEN = "tmp-"


@dataclass(frozen=True)
class KeptTemplate:
    """A template in the cache.

    Attributes:
        folder: the folder with its contents.
        planned: when it was planned, in seconds since the epoch.
        digest: the digest of its contents when they were stored.
    """

    folder: Path
    manifest: Manifest
    planned: float
    digest: str

    def check(self) -> None:
        """Check that its contents are what was stored.

        After a power failure, what was written last can be there without what was written before.

        Raises:
            SandboxError: they are not.
        """
        if _sum(self.folder) != self.digest:
            raise SandboxError("its files are incomplete or damaged")


class TemplateCache:
    """The kept templates, each at a name, which is locked while the template is read or made."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Use a folder, which is made if it does not exist.

        Args:
            limit: the size of all templates together, in bytes.

        Raises:
            OSError: the folder can't be used: it can't be written to, or others can.
        """
        if fcntl is None:
            raise OSError("this operating system has no file locks")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        private = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
        if not (stat.S_ISDIR(status.st_mode) and private):
            raise OSError(f"{folder} must belong to you, with the permissions 0700")
        self.folder = folder
        self._limit = limit
        # It fails if the folder can't be written to.
        with self.locked("cache"):
            pass

    @contextmanager
    def locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a name; it ends with the process at the latest.

        Args:
            wait: whether to wait for another process that holds it.

        Yields:
            Whether the lock is held.
        """
        with (self.folder / f"{name}.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                # A forked process may have inherited the open file.
                fcntl.flock(file, fcntl.LOCK_UN)

    def find(self, name: str, key: str) -> KeptTemplate | None:
        """The template with these inputs. Its name must be locked."""
        folder = self.folder / name / key
        try:
            file = folder / _MANIFEST
            manifest = Manifest.from_json(file.read_text(encoding="utf-8"))
            planned = file.stat().st_mtime
            digest = (folder / _SUM).read_text(encoding="utf-8")
            os.utime(folder)
        except (OSError, ValueError):
            return None
        return KeptTemplate(folder / _CONTENTS, manifest, planned, digest)

    def why_not(self, name: str, key: str) -> str | None:
        """Why the template with these inputs is not kept; None if it can be, or is not known."""
        try:
            return (self.folder / name / f"{key}.txt").read_text(encoding="utf-8")
        except OSError:
            return None

    def note(self, name: str, key: str, reason: str) -> None:
        """Note why a template is not kept, so that workers do not wait for each other again."""
        with suppress(OSError):
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / f"{key}.txt").write_text(reason, encoding="utf-8")

    def remove(self, name: str, key: str) -> None:
        """Remove a template that is of no use. Its name must be locked."""
        shutil.rmtree(self.folder / name / key, ignore_errors=True)

    def store(self, name: str, key: str, manifest: Manifest, write: Callable[[Path], None]) -> None:
        """Store a template at a name, which must be locked, then remove the oldest ones.

        Args:
            write: writes the template's files into a folder.

        Raises:
            OSError: the template can't be written.
        """
        place = self.folder / name
        place.mkdir(exist_ok=True)
        self._clean(place)
        making = place / f"{_BEING_WRITTEN}{os.getpid()}"
        try:
            (making / _CONTENTS).mkdir(parents=True)
            write(making / _CONTENTS)
            if _size(making) > self._limit:
                return
            (making / _SUM).write_text(_sum(making / _CONTENTS), encoding="utf-8")
            (making / _MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
            self.remove(name, key)
            making.rename(place / key)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        self._remove_oldest(place / key)

    @staticmethod
    def _clean(place: Path) -> None:
        """Remove what a process that was killed has left at a name, which must be locked."""
        for leftover in place.glob(f"{_BEING_WRITTEN}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _remove_oldest(self, latest: Path) -> None:
        """Remove those that were used longest ago, none that is in use, down to the limit."""
        folders = [folder for folder in self.folder.glob("*/*") if folder.is_dir()]
        sizes = {folder: _size(folder) for folder in folders}
        excess = sum(sizes.values()) - self._limit
        for folder in sorted(folders, key=_last_used):
            if excess <= 0:
                return
            if folder == latest:
                continue
            name = folder.parent.name
            with suppress(OSError), self._unless_own(name, latest) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)
                    excess -= sizes[folder]

    @contextmanager
    def _unless_own(self, name: str, latest: Path) -> Iterator[bool]:
        if name == latest.parent.name:
            yield True
        else:
            with self.locked(name, wait=False) as free:
                yield free


def _sum(folder: Path) -> str:
    return digest_of_files(folder, files_below(folder))


def _size(folder: Path) -> int:
    total = 0
    for file in files_below(folder):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0

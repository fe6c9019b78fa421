"""The account that a server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.options import SandboxError


@dataclass(frozen=True)
class Account:
    """An account of this machine that root can start processes as."""

    name: str
    uid: int
    gid: int

    def can_read(self, path: Path) -> bool:
        """Whether the account can read a program, in folders that it can enter."""
        return self._has(path, stat.S_IROTH | stat.S_IXOTH) and all(
            self._has(parent, stat.S_IXOTH) for parent in path.parents
        )

    def can_write_in(self, folder: Path) -> bool:
        """Whether the account can make and remove files in a folder."""
        folder = folder.resolve()
        return self._has(folder, stat.S_IWOTH | stat.S_IXOTH) and all(
            self._has(parent, stat.S_IXOTH) for parent in folder.parents
        )

    def _has(self, path: Path, permissions: int) -> bool:
        """Whether the account has permissions, which are passed as those of others."""
        status = path.stat()
        if status.st_uid == self.uid:
            permissions <<= 6
        elif status.st_gid == self.gid:
            permissions <<= 3
        return status.st_mode & permissions == permissions

    def own(self, folder: Path) -> None:
        """Make the account the owner of a folder and of everything in it."""
        os.chown(folder, self.uid, self.gid)
        for below, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(below, name), self.uid, self.gid, follow_symlinks=False)


def server_account() -> Account | None:
    """The account that servers run as; None for the current user, unless that is root.

    Raises:
        SandboxError: the current user is root, and no account exists that can be used instead.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise SandboxError(
        "PostgreSQL's server refuses to run as root, and neither the user postgres nor the user "
        "nobody exists: run pytest as another user"
    )

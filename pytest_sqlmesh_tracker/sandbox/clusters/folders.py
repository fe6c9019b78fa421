"""The folders of clusters, one each: where they are, whose they are, and what was left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .accounts import Account

PREFIX = "sqlmesh-pg-"
MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux."""
ENOUGH_MEMORY = 512 * 1024 * 1024
"""Free bytes that a cluster needs in memory. Containers often have only 64 MB there."""
PORT = 5432
_SOCKET = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET = 103
"""The longest path of a socket in bytes, on macOS; on Linux it is 107."""
_LOCKING_TRIES = 20
_ENDING_TRIES = 200
_PAUSE = 0.025
"""Seconds between tries. They are counted, since a test can have replaced the clock."""


class ClusterFolder:
    """A folder that only its owner can enter, locked while this process lives.

    The lock is on the folder itself. The system releases it when the process ends, however that
    ends, so a folder that can be locked was left behind.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @property
    def data(self) -> Path:
        """The data folder of the server."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """What the programs have printed."""
        return self.path / "log"

    @property
    def socket(self) -> Path:
        """The socket that the server listens on."""
        return self.path / _SOCKET

    def unlock(self) -> None:
        """Close the lock's descriptor: the lock is released when all processes have closed it."""
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the folder and everything in it, unless that has been done."""
        _remove(self.path)


def make_folder(account: Account | None, parents: Sequence[Path]) -> ClusterFolder:
    """Make a folder that nobody else can enter.

    Args:
        account: who owns it; None for the current user.
        parents: the folders in which it can be, see `parents_of_folders`.

    Raises:
        SandboxError: the file system has no locks.
    """
    for _ in range(_LOCKING_TRIES):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parents[0]))
        lock = _locked(path)
        if lock is not None:
            if account is not None:
                os.chown(path, account.uid, account.gid)
            return ClusterFolder(path, lock)
        # Another process takes it for one that was left behind, and removes it.
        with suppress(OSError):
            path.rmdir()
    raise SandboxError(f"folders in {parents[0]} can't be locked, as a PostgreSQL cluster needs")


def parents_of_folders(
    account: Account | None, memory: Path = MEMORY, *, for_programs: bool = False
) -> list[Path]:
    """The folders in which a cluster's folder can be, the best first.

    They are never below pytest's temporary folder: that can't be entered by other accounts, and
    its paths are too long for sockets.

    Args:
        account: the account that the server runs as; None for the current user.
        memory: where a file system in memory is mounted.
        for_programs: whether programs are copied there, which can't be executed everywhere.

    Raises:
        SandboxError: no folder can be used.
    """
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    if _has_space(memory):
        places.insert(0, memory)
    parents = [
        place
        for place in dict.fromkeys(places)
        if _is_suitable(place, account) and not (for_programs and _is_without_programs(place))
    ]
    if not parents:
        who = "the user" if account is None else f"the user {account.name}"
        raise SandboxError(
            f"{tempfile.gettempdir()} can't contain a PostgreSQL cluster: {who} must be able to "
            "write there, and the path must be short"
        )
    return parents


def remove_leftovers(account: Account | None, memory: Path = MEMORY) -> list[Path]:
    """End the servers and remove the folders of processes that were killed with their watchers.

    Returns:
        the folders that were removed.
    """
    owners = {os.geteuid()} | (set() if account is None else {account.uid})
    removed = []
    for parent in {memory, *parents_of_folders(account, memory)}:
        for path in sorted(parent.glob(f"{PREFIX}*")):
            if not _is_folder_of(path, owners):
                continue
            lock = _locked(path)
            if lock is None:
                continue
            try:
                _end_server(path / "data")
                _remove(path)
            finally:
                os.close(lock)
            removed.append(path)
    return removed


def _is_suitable(place: Path, account: Account | None) -> bool:
    if not place.is_dir():
        return False
    # `mkdtemp` adds eight characters to the prefix.
    longest = place / f"{PREFIX}{'x' * 8}" / _SOCKET
    if len(os.fsencode(longest)) > _LONGEST_SOCKET:
        return False
    if account is None:
        return os.access(place, os.W_OK | os.X_OK)
    return account.can_write_in(place)


def _is_without_programs(place: Path) -> bool:
    """Whether the file system is mounted with the option `noexec`, as Docker mounts `/dev/shm`."""
    return bool(os.statvfs(place).f_flag & getattr(os, "ST_NOEXEC", 0))


def _has_space(memory: Path) -> bool:
    try:
        return shutil.disk_usage(memory).free >= ENOUGH_MEMORY
    except OSError:
        return False


def _locked(path: Path) -> int | None:
    """The descriptor of a folder that is now locked; None if another process has or had it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.lstat(path)):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _is_folder_of(path: Path, owners: set[int]) -> bool:
    """Whether it is a folder of one of these users: anyone can make files in `/tmp`."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid in owners


def _end_server(data: Path) -> None:
    """End the server that has this data folder, if there is one."""
    for number, pid in enumerate(_server_pids(data)):
        # PostgreSQL ends at once with QUIT. If something keeps it, it is killed in the end.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if number == _ENDING_TRIES else signal.SIGQUIT)
        time.sleep(_PAUSE)


def _server_pids(data: Path) -> Iterator[int]:
    """The process of a server, again and again until it has ended."""
    for _ in range(_ENDING_TRIES + 1):
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        # The number can belong to another process by now.
        if os.fsencode(data) not in _command_line(pid):
            return
        yield pid


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        if Path("/proc/self").exists():
            return b""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, check=False).stdout


def _remove(path: Path) -> None:
    """Remove a folder in which a process that is ending can still be making files."""
    for _ in range(_ENDING_TRIES):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(_PAUSE)

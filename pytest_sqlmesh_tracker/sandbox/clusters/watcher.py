"""The parent of a server, which ends it with this process, however this process ends.

A process that is killed can't end what it has started. So the server's parent is a shell that reads
from a pipe: the pipe ends when this process does.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .accounts import Account

# The shell is the first process of a session, so Ctrl-C does not reach it. initdb always ends by
# itself: killed, it would leave segments of shared memory behind. A server ignores TERM and QUIT
# or dies of TERM until it handles them, then QUIT ends it at once, so both are sent repeatedly.
_SCRIPT = """
exec 3<&0 </dev/null
if read -r initdb <&3 && read -r postgres <&3; then
    { trap exit TERM; eval "$initdb" && eval "exec $postgres"; } 4>&1 >>"$1/log" 2>&1 3<&- &
    server=$!
    exec >/dev/null
    read -r line <&3
    while kill -s TERM "$server" && kill -s QUIT "$server"; do sleep 0.5; done &
    wait "$server"
    kill "$!"
fi
for try in 1 2 3 4 5; do
    rm -rf -- "$1" && exit
    sleep 0.1
done
"""
_LONGEST_END = 15
"""Seconds. PostgreSQL itself kills its processes after five."""


class Watcher:
    """A shell that runs a server until this process closes a pipe or ends."""

    def __init__(
        self, folder: Path, *, account: Account | None, environment: Mapping[str, str]
    ) -> None:
        """Start the shell.

        Args:
            folder: the cluster's folder, which is removed in the end.
            account: the account that all run as; None for the current user.
            environment: their environment variables.

        Raises:
            OSError: the shell can't be started.
        """
        ids: dict[str, Any] = {}
        if account is not None:
            ids = {"user": account.uid, "group": account.gid, "extra_groups": []}
        reading, self._pipe = _pipes.make()
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sqlmesh-tracker-postgres", str(folder)],
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                umask=0o077,
                start_new_session=True,
                **ids,
            )
        except BaseException:
            _pipes.close(self._pipe)
            raise
        finally:
            os.close(reading)
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    def run(self, initdb: Sequence[str], postgres: Sequence[str]) -> None:
        """Run the command that makes the data folder, and then that of the server.

        Raises:
            OSError: the shell has ended.
        """
        os.write(self._pipe, os.fsencode(f"{shlex.join(initdb)}\n{shlex.join(postgres)}\n"))

    @property
    def pid(self) -> int:
        """The process of the shell, which is also its process group."""
        return self._process.pid

    @property
    def has_server(self) -> bool:
        """Whether initdb or the server runs: they never write to the pipe that they have open."""
        try:
            return os.read(self._output.fileno(), 1) != b""
        except BlockingIOError:
            return True

    def close(self) -> None:
        """End the server, remove the folder, and wait until that is done."""
        _pipes.close(self._pipe)
        try:
            self._process.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()


class _Pipes:
    """The pipes of this process. Forked processes close them, or servers would wait for them too.

    A fork waits while a pipe is being made, so that it has none that are not known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._follows_forks = False

    def make(self) -> tuple[int, int]:
        """The descriptors of a new pipe: for reading, and for writing."""
        with self._lock:
            if not self._follows_forks:
                os.register_at_fork(
                    before=self._lock.acquire,
                    after_in_parent=self._lock.release,
                    after_in_child=self._close_all,
                )
                self._follows_forks = True
            reading, writing = os.pipe()
            self._open.add(writing)
        return reading, writing

    def close(self, writing: int) -> None:
        """Close a pipe, unless a fork has closed it."""
        with self._lock:
            if writing in self._open:
                self._open.remove(writing)
                os.close(writing)

    def _close_all(self) -> None:
        for pipe in self._open:
            os.close(pipe)
        self._open.clear()
        self._lock.release()


_pipes = _Pipes()

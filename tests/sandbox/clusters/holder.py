"""A process that starts clusters, says so, and waits until it is ended.

It is started as `python -m tests.sandbox.clusters.holder`, and does what `Holding` says.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.client import psycopg2
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster, start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs, find_programs


@dataclass(frozen=True)
class Holding:
    """What the process does.

    Attributes:
        folder: the programs.
        memory: the folder that contains the clusters' folders.
        user: who it runs as, if it is started by root; None: who has started it.
        session: whether it is a session of pytest, in which a fixture starts the cluster.
        forks: whether it forks a process that lives on.
    """

    folder: str
    memory: str
    user: str | None = None
    session: bool = False
    forks: bool = False


@dataclass(frozen=True)
class Held:
    """The cluster of the process, and its processes."""

    cluster: str
    server: int
    watcher: int


SESSION = """
import pytest
from tests.sandbox.clusters import holder


@pytest.fixture(scope="session")
def cluster():
    with holder.started() as cluster:
        yield cluster


def test_that_waits(cluster):
    holder.report(cluster)
    holder.wait()
"""


def started() -> Cluster:
    programs: Programs = find_programs(HOLDING.folder)
    return start_cluster(programs, memory=Path(HOLDING.memory))


def report(cluster: Cluster) -> None:
    """Print where the cluster is, in the process that holds it."""
    server = int(Path(cluster.host, "data", "postmaster.pid").read_text().split()[0])
    assert cluster._watcher is not None
    held = Held(cluster.host, server, cluster._watcher.pid)
    os.write(OUTPUT, json.dumps(asdict(held)).encode() + b"\n")


def wait() -> None:
    for _ in range(600):
        time.sleep(0.1)


def become(name: str) -> None:
    """Give up the rights of root, when everything has been imported: Python can be root's own."""
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = "/"


class Becoming:
    """A plugin of pytest that gives up the rights of root when all tests are collected."""

    def pytest_collection_finish(self) -> None:
        if HOLDING.user is not None:
            become(HOLDING.user)


def main() -> None:
    psycopg2()
    # A shell that starts CI in the background lets it ignore Ctrl-C, and Dagster lets SIGTERM do
    # whatever Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if HOLDING.session:
        file = Path(HOLDING.memory, "test_that_waits.py")
        file.write_text(SESSION)
        plugins = ["-p", "no:cacheprovider", "-p", "no:sqlmesh_tracker", "-p", "no:xdist"]
        sys.exit(pytest.main(["-q", "-s", *plugins, "-c", os.devnull, str(file)], [Becoming()]))
    if HOLDING.user is not None:
        become(HOLDING.user)
    os.write(OUTPUT, b"starting\n")
    cluster = started()
    if HOLDING.forks and os.fork() == 0:
        wait()
    report(cluster)
    wait()


if __name__ == "__main__":
    HOLDING = Holding(**json.loads(sys.argv[1]))
    OUTPUT = os.dup(1)
    sys.modules["tests.sandbox.clusters.holder"] = sys.modules["__main__"]
    main()

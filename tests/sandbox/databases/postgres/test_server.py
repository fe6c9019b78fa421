"""The server that the sandboxes of a session share, and its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.sandbox.building import sandboxes_of


def test_a_server_that_cannot_be_started_is_one_line(wages: Path, tmp_path: Path) -> None:
    templates = Templates(
        tmp_path, lambda: Path(tempfile.mkdtemp(dir=tmp_path)), postgres=str(tmp_path)
    )
    message = (
        f"the gateway wh is in PostgreSQL, but sqlmesh_tracker_postgres = {tmp_path}: the folder "
        "does not contain the program initdb."
    )
    with pytest.raises(SandboxError) as error, sandboxes_of(templates)(wages):
        pass
    assert str(error.value).splitlines()[0] == message
    assert "Choose such a gateway" in str(error.value)


def test_a_server_that_has_ended_is_one_line(wages: Path, tmp_path: Path) -> None:
    templates = Templates(tmp_path, lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
    message = "the PostgreSQL server of the tests has ended unexpectedly"
    try:
        with sandboxes_of(templates)(wages, plan=False) as sandbox:
            data = Path(templates.servers.shared.databases.cluster.host, "data")
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            deadline = time.monotonic() + 30
            while templates.servers.shared.runs and time.monotonic() < deadline:
                time.sleep(0.01)
            with pytest.raises(SandboxError, match=message):
                sandbox.plan()
        with (
            sandboxes_of(templates)(wages, plan=False) as sandbox,
            pytest.raises(SandboxError, match=message),
        ):
            sandbox.fetch("SELECT 1")
    finally:
        templates.remove()
    assert not data.exists()


def test_a_forked_process_has_no_sandboxes_of_its_parent(sandbox: Sandbox) -> None:
    assert sandbox.fetch("SELECT 1") == [(1,)]
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            sandbox.context.connections.postgres.connect(database="postgres", user="shop")
            os.write(writing, b"connected")
        except SandboxError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"this process is a fork" in os.read(reading, 1000)
    assert sandbox.fetch("SELECT 1") == [(1,)]


STARTED = """
import signal
import sys

import pytest

# A shell that starts CI in the background lets it ignore Ctrl-C, and Dagster lets SIGTERM do what
# Ctrl-C does.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
# Removing the folders of earlier sessions, as pytest does when it ends, can take a minute.
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp=folders"]))
"""
WAITING = """
import time
from pathlib import Path

import pytest


@pytest.mark.sqlmesh_project("wages", at="2024-01-05 00:05")
def test_that_waits(sqlmesh_project):
    host = sqlmesh_project.context.engine_adapter.connection.info.host
    Path("server").write_text(host)
    time.sleep(60)
"""


@pytest.mark.processes
@pytest.mark.long
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.nightly
def test_a_session_that_is_ended_leaves_no_server(
    wages: Path, tmp_path: Path, programs: str | None, way: signal.Signals
) -> None:
    shutil.copytree(wages, tmp_path / "wages")
    (tmp_path / "test_waiting.py").write_text(WAITING)
    setting = f"sqlmesh_tracker_postgres = {programs or ''}"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{setting}\nfilterwarnings = ignore")
    session = subprocess.Popen(
        [sys.executable, "-c", STARTED],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = tmp_path / "server"
    deadline = time.monotonic() + 60
    while not (server.exists() and server.read_text()):
        assert session.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    folder = Path(server.read_text())
    assert (folder / "data" / "postmaster.pid").exists()
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    os.killpg(session.pid, way)
    session.wait(20)
    deadline = time.monotonic() + 20
    while (folder.exists() or Path(f"/proc/{pid}").exists()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()

"""The standard streams, in real processes: readers that leave early, closed streams, colors."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from select import select

import pytest

from pytest_sqlmesh_tracker.cli.streams import colored
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json, entries_to_json
from tests.builders import executed, failed, run, skipped

from .conftest import process

NIGHT = run(failed("sales.orders"), skipped("sales.weekly"), completion="failure")
BIG = [Entry(None, run(*(executed(f"sales.model_{n}") for n in range(150))))] * 20
AT_ONCE = ["--no-load", "--execution-time", "2024-01-10 00:05"]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of reports, one of them larger than any pipe."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "big.json").write_text(entries_to_json(BIG))
    (folder / "night.json").write_text(entries_to_json([Entry(None, NIGHT)]))
    return folder


@pytest.fixture
def saved(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of reports, which nothing is written to, is the current one."""
    monkeypatch.chdir(reports)
    for variable in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(variable, raising=False)


def unread(*arguments: str, stream: str = "stdout") -> tuple[int, str]:
    """The exit code of a command whose output nobody reads, and what else it printed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = process(*arguments, **{stream: writing})
    finally:
        os.close(writing)
    return ran.returncode, (ran.stderr if stream == "stdout" else ran.stdout)


def in_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in which `tracker` is the command line, with the exit code of its failed part."""
    command = shlex.join([sys.executable, "-W", "ignore", "-m", "pytest_sqlmesh_tracker.cli"])
    script = f'set -o pipefail\ntracker() {{ {command} "$@"; }}\n{line}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("run --help", 0),
        ("show big.json", 0),
        ("gate night.json --json", 1),
        ("diff big.json night.json --exit-code", 1),
    ],
)
@pytest.mark.usefixtures("saved")
@pytest.mark.processes
def test_unread_output_changes_no_exit_code_and_prints_no_error(line: str, code: int) -> None:
    assert unread(*line.split()) == (code, "")


@pytest.mark.long
@pytest.mark.usefixtures("saved")
def test_a_closed_stream_changes_no_exit_code() -> None:
    ran = in_shell("tracker gate night.json >&-")
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.usefixtures("saved")
@pytest.mark.processes
def test_a_reader_that_leaves_early() -> None:
    ran = in_shell("tracker show big.json | head -1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("run prod, execution_time")


@pytest.mark.usefixtures("saved")
def test_a_slow_reader_of_a_nonblocking_stream() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-m", "pytest_sqlmesh_tracker.cli", "show", "big.json", "--json"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as shown:
        wait_until_full(writing, shown)
        os.close(writing)
        with os.fdopen(reading) as output:
            assert len(entries_from_json(output.read())) == len(BIG)
        assert shown.stderr is not None
        assert shown.stderr.read() == ""
    assert shown.returncode == 0


def wait_until_full(pipe: int, writer: subprocess.Popen[str]) -> None:
    """Wait until the pipe that the process writes to takes nothing more."""
    while select([], [pipe], [], 0)[1]:
        assert writer.poll() is None, "it ended, and the pipe is not full"
        time.sleep(0.05)


@pytest.mark.usefixtures("saved")
def test_unread_errors() -> None:
    assert unread("show", "nowhere.json", stream="stderr") == (2, "")
    assert in_shell("tracker show nowhere.json <&- >&- 2>&-").returncode == 2


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("line", ["show big.json", "--help"])
@pytest.mark.processes
def test_a_full_disk_is_reported_once(line: str) -> None:
    ran = in_shell(f"tracker {line} >/dev/full")
    assert ran.returncode == 2
    assert ran.stderr == "Error: the output is incomplete: No space left on device\n"


@pytest.mark.usefixtures("shop")
@pytest.mark.processes
class TestARunWithoutReaders:
    @pytest.mark.long
    def test_is_complete(self) -> None:
        code, _ = unread("run", "--json", "--quiet", "--report", "night.json", *AT_ONCE)
        assert code == 0
        [(_, report)] = entries_from_json(Path("night.json").read_bytes())
        report.assert_executed("shop.orders", "shop.daily", "marketing.spend")

    def test_with_closed_streams_is_complete(self) -> None:
        # A database could be opened under the number of the standard output.
        when = shlex.join(AT_ONCE)
        ran = in_shell(f"tracker run --gate --json --report night.json {when} <&- >&- 2>&-")
        assert ran.returncode == 0
        [(_, report)] = entries_from_json(Path("night.json").read_bytes())
        report.assert_executed("shop.orders", "shop.daily", "marketing.spend")

    @pytest.mark.long
    def test_is_judged_by_the_gate(self) -> None:
        Path("feed_is_late").touch()
        code, err = unread("run", "--report", "night.json", *AT_ONCE)
        assert (code, err) == (1, "")


class TestColors:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({}, False),
            ({"FORCE_COLOR": "1"}, True),
            ({"FORCE_COLOR": ""}, False),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
            ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
            ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
            ({"FORCE_COLOR": "1", "TERM": "xterm"}, True),
        ],
    )
    @pytest.mark.usefixtures("saved")
    def test_are_off_without_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert colored(io.StringIO()) is expected

    @pytest.mark.long
    @pytest.mark.usefixtures("saved")
    def test_can_be_forced_except_in_json(self) -> None:
        assert "\x1b[" in in_shell("FORCE_COLOR=1 tracker gate night.json").stdout
        assert "\x1b[" not in in_shell("FORCE_COLOR=1 tracker show --json night.json").stdout

"""The standard streams, in real processes: readers that leave early, closed streams, colors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.report import dump_reports, load_reports
from tests.unit.builders import executed, failed, run, skipped

from .conftest import process

NIGHT = run(failed("sales.orders"), skipped("sales.weekly"), completion="failure")
BIG = [(None, run(*(executed(f"sales.model_{n}") for n in range(150))))] * 20
AT_ONCE = ["--no-load", "--execution-time", "2024-01-10 00:05"]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(variable, raising=False)
    Path("big.json").write_text(dump_reports(BIG))
    Path("night.json").write_text(dump_reports([(None, NIGHT)]))


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


COMMANDS = [
    ("--help", 0),
    ("run --help", 0),
    ("show big.json", 0),
    ("show big.json --json", 0),
    ("gate night.json", 1),
    ("gate night.json --json", 1),
    ("diff big.json night.json", 0),
    ("diff big.json night.json --exit-code", 1),
]


@pytest.mark.parametrize(("line", "code"), COMMANDS)
@pytest.mark.usefixtures("saved")
class TestWhatNobodyReads:
    def test_changes_no_exit_code_and_is_silent(self, line: str, code: int) -> None:
        assert unread(*line.split()) == (code, "")

    def test_may_be_a_stream_that_is_closed(self, line: str, code: int) -> None:
        ran = in_shell(f"tracker {line} >&-")
        assert (ran.returncode, ran.stderr) == (code, "")


@pytest.mark.usefixtures("saved")
def test_a_reader_that_leaves_early() -> None:
    for _ in range(3):
        ran = in_shell("tracker show big.json | head -1")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("run prod, execution_time")


@pytest.mark.usefixtures("saved")
def test_a_reader_that_is_slow_on_a_stream_that_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-m", "pytest_sqlmesh_tracker.cli", "show", "big.json", "--json"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as shown:
        os.close(writing)
        # The pipe is full by now.
        time.sleep(2)
        with os.fdopen(reading) as output:
            assert len(load_reports(output.read())) == len(BIG)
        assert shown.stderr is not None
        assert shown.stderr.read() == ""
    assert shown.returncode == 0


@pytest.mark.usefixtures("saved")
def test_errors_that_nobody_reads() -> None:
    assert unread("show", "nowhere.json", stream="stderr") == (2, "")
    assert unread("no-such-command", stream="stderr") == (2, "")
    assert in_shell("tracker show nowhere.json <&- >&- 2>&-").returncode == 2


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("line", ["show big.json", "gate night.json --json", "--help"])
def test_a_full_disk_is_told_once(line: str) -> None:
    ran = in_shell(f"tracker {line} >/dev/full")
    assert ran.returncode == 2
    assert ran.stderr == "Error: the output is not complete: No space left on device\n"


@pytest.mark.usefixtures("shop")
class TestARunThatNobodyReads:
    @pytest.mark.parametrize("option", ["--gate", "--json", "--quiet"])
    def test_is_complete(self, option: str) -> None:
        code, _ = unread("run", option, "--report", "night.json", *AT_ONCE)
        assert code == 0
        [(_, report)] = load_reports(Path("night.json").read_bytes())
        report.assert_executed("shop.orders", "shop.daily", "marketing.spend")

    @pytest.mark.parametrize("option", ["--gate", "--json", "--quiet"])
    def test_with_closed_streams_is_complete(self, option: str) -> None:
        # A database could be opened under the number of the standard output.
        when = shlex.join(AT_ONCE)
        ran = in_shell(f"tracker run {option} --report night.json {when} <&- >&- 2>&-")
        assert ran.returncode == 0
        [(_, report)] = load_reports(Path("night.json").read_bytes())
        report.assert_executed("shop.orders", "shop.daily", "marketing.spend")

    def test_is_judged(self) -> None:
        Path("feed_is_late").touch()
        code, err = unread("run", "--report", "night.json", *AT_ONCE)
        assert (code, err) == (1, "")


@pytest.mark.usefixtures("saved")
class TestColors:
    @pytest.mark.parametrize(
        ("variables", "colored"),
        [
            ("", False),
            ("FORCE_COLOR=1", True),
            ("FORCE_COLOR=", False),
            ("FORCE_COLOR=1 NO_COLOR=1", False),
            ("FORCE_COLOR=1 NO_COLOR=", True),
            ("FORCE_COLOR=1 TERM=dumb", False),
            ("FORCE_COLOR=1 TERM=xterm", True),
        ],
    )
    def test_of_what_is_no_terminal(self, variables: str, colored: bool) -> None:
        ran = in_shell(f"{variables} tracker gate night.json")
        assert ("\x1b[" in ran.stdout) is colored

    @pytest.mark.parametrize("line", ["show night.json", "diff big.json night.json"])
    def test_of_other_commands(self, line: str) -> None:
        assert "\x1b[" in in_shell(f"FORCE_COLOR=1 tracker {line}").stdout

    def test_are_never_in_json(self) -> None:
        assert "\x1b[" not in in_shell("FORCE_COLOR=1 tracker show --json night.json").stdout

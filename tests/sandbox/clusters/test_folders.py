"""Folders of clusters: where they are, and what is removed from there."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters import folders
from pytest_sqlmesh_tracker.sandbox.clusters.accounts import Account, server_account
from pytest_sqlmesh_tracker.sandbox.clusters.folders import (
    PREFIX,
    make_folder,
    parents_of_folders,
    remove_leftovers,
)
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as other users")


@pytest.fixture
def temporary(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder for this test."""
    folder = place / "temporary"
    folder.mkdir()
    folder.chmod(0o777 | stat.S_ISVTX)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def with_space(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, where the machine lets root mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=1777,{options}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems can't be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class TestWhere:
    def test_memory_with_free_space_comes_first(
        self, place: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_space(monkeypatch, 2**29)
        assert parents_of_folders(None, place)[:2] == [place, temporary]

    def test_memory_with_little_free_space_is_not_used(
        self, place: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_space(monkeypatch, 2**29 - 1)
        assert parents_of_folders(None, place)[0] == temporary

    @as_root
    def test_the_64_megabytes_of_a_container_are_not_used(
        self, place: Path, temporary: Path
    ) -> None:
        with mounted(place / "memory", "size=64m") as memory:
            assert parents_of_folders(server_account(), memory)[0] == temporary

    @as_root
    def test_programs_are_not_copied_to_where_they_can_not_be_executed(
        self, place: Path, temporary: Path
    ) -> None:
        with mounted(place / "memory", "size=1g,noexec") as memory:
            account = server_account()
            assert parents_of_folders(account, memory)[0] == memory
            assert parents_of_folders(account, memory, for_programs=True)[0] == temporary

    def test_memory_that_does_not_exist_is_not_used(self, place: Path, temporary: Path) -> None:
        assert parents_of_folders(None, place / "nowhere")[0] == temporary

    def test_a_temporary_folder_with_a_long_path_is_not_used(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = temporary / ("x" * 60)
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        assert parents_of_folders(None, Path("/nowhere"))[0] == Path("/tmp")

    def test_a_file_system_without_locks_is_reported(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_descriptor: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        with pytest.raises(SandboxError, match=f"^folders in {temporary} can't be locked"):
            make_folder(None, [temporary])
        assert [*temporary.iterdir()] == []

    def test_paths_of_sockets_are_short(self, temporary: Path) -> None:
        folder = make_folder(None, [temporary])
        assert len(os.fsencode(folder.socket)) < 107
        folder.remove()
        folder.unlock()

    @as_root
    def test_a_folder_that_the_account_can_not_enter_is_not_used(self, temporary: Path) -> None:
        nobody = Account("nobody", 65534, 65534)
        assert parents_of_folders(nobody, Path("/nowhere"))[0] == temporary
        temporary.chmod(0o755)
        assert temporary not in parents_of_folders(nobody, Path("/nowhere"))
        temporary.chmod(0o777)
        temporary.parent.chmod(0o700)
        assert temporary not in parents_of_folders(nobody, Path("/nowhere"))

    def test_without_a_folder_one_line_says_what_it_needs(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folders, "_LONGEST_SOCKET", 10)
        with pytest.raises(SandboxError) as raised:
            parents_of_folders(None, Path("/nowhere"))
        assert str(raised.value) == (
            f"{temporary} can't contain a PostgreSQL cluster: the user must be able to write "
            "there, and the path must be short"
        )


class TestWhose:
    def test_a_folder_can_be_entered_only_by_its_owner(self, place: Path) -> None:
        account = server_account()
        folder = make_folder(account, [place])
        status = folder.path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert status.st_uid == (os.geteuid() if account is None else account.uid)
        folder.remove()
        folder.unlock()

    @as_root
    def test_root_uses_postgres_or_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"postgres", "nobody"}
        entry_of = pwd.getpwnam("nobody")

        def look_up(name: str) -> object:
            if name not in known:
                raise KeyError(name)
            return entry_of

        monkeypatch.setattr(pwd, "getpwnam", look_up)
        for name in ("postgres", "nobody"):
            account = server_account()
            assert account is not None
            assert account.name == name
            known.remove(name)
        with pytest.raises(SandboxError) as raised:
            server_account()
        assert str(raised.value) == (
            "PostgreSQL's server refuses to run as root, and neither the user postgres nor the "
            "user nobody exists: run pytest as another user"
        )

    def test_the_permissions_that_count_are_those_of_the_owner_the_group_or_others(
        self, place: Path
    ) -> None:
        status = place.stat()
        owner = Account("owner", status.st_uid, 1)
        member = Account("member", status.st_uid + 1, status.st_gid)
        other = Account("other", status.st_uid + 1, status.st_gid + 1)
        for mode, able in {
            0o700: [owner],
            0o070: [member],
            0o007: [other],
            0o777: [owner, member, other],
            0o666: [],
        }.items():
            place.chmod(mode)
            assert [each for each in (owner, member, other) if each.can_write_in(place)] == able
        place.chmod(0o777)

    def test_other_users_run_servers_themselves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert server_account() is None


class TestLeftovers:
    def test_a_folder_without_a_process_is_removed(self, place: Path, temporary: Path) -> None:
        for parent in (place, temporary):
            folder = make_folder(None, [parent])
            (folder.path / "data").mkdir()
            folder.unlock()
        removed = remove_leftovers(None, place)
        assert sorted(path.parent for path in removed) == sorted([place, temporary])
        assert [*place.glob(f"{PREFIX}*"), *temporary.glob(f"{PREFIX}*")] == []

    def test_a_folder_of_this_process_stays(self, place: Path, temporary: Path) -> None:
        folder = make_folder(None, [temporary])
        assert remove_leftovers(None, place) == []
        assert folder.path.exists()
        folder.remove()
        folder.unlock()

    def test_another_process_with_the_number_of_the_server_is_not_ended(
        self, place: Path, temporary: Path
    ) -> None:
        assert temporary.exists()
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        folder = make_folder(None, [place])
        folder.data.mkdir()
        (folder.data / "postmaster.pid").write_text(f"{other.pid}\n{folder.data}\n")
        folder.unlock()
        assert remove_leftovers(None, place) == [folder.path]
        assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0

    @as_root
    def test_folders_and_links_of_others_stay(self, place: Path, temporary: Path) -> None:
        """Anyone can make files in `/tmp`."""
        assert temporary.exists()
        target = place / "target"
        target.mkdir()
        (place / f"{PREFIX}link").symlink_to(target)
        foreign = place / f"{PREFIX}foreign"
        foreign.mkdir()
        os.chown(foreign, 12345, 12345)
        (place / f"{PREFIX}file").write_text("")
        assert remove_leftovers(server_account(), place) == []
        assert foreign.exists()
        assert target.exists()

"""The folder of kept templates: who may use it, how large it gets, and what kills do to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.templates.inputs.manifest import Manifest
from pytest_sqlmesh_tracker.sandbox.templates.kept.cache import TemplateCache
from tests.postgres import installed_programs

from .projects import made_by
from .sessions import Sessions

EMPTY = Manifest(salt="")
KILLS = os.environ.get("SQLMESH_TRACKER_KILLS", "5")
"""At how many moments a process that plans a template is killed."""


def writing(size: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)

    return write


def store(cache: TemplateCache, name: str, size: int, used: int) -> None:
    """Store a template of this size that was last used at this time."""
    with cache.locked(name):
        cache.store(name, "key", EMPTY, writing(size))
    os.utime(cache.folder / name / "key", (used, used))


def kept(cache: TemplateCache) -> set[str]:
    return {folder.parent.name for folder in cache.folder.glob("*/key")}


def test_the_ones_used_longest_ago_are_removed(tmp_path: Path) -> None:
    cache = TemplateCache(tmp_path / "cache", 3000)
    for used, name in enumerate(("one", "two", "three"), 1):
        store(cache, name, 800, used)
    assert kept(cache) == {"one", "two", "three"}
    store(cache, "four", 800, 4)
    assert kept(cache) == {"two", "three", "four"}
    # None that another process is using.
    other = TemplateCache(tmp_path / "cache", 3000)
    with other.locked("two"):
        store(cache, "five", 800, 5)
    assert kept(cache) == {"two", "four", "five"}


def test_a_template_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = TemplateCache(tmp_path / "cache", 3000)
    store(cache, "one", 800, 1)
    with cache.locked("huge"):
        cache.store("huge", "key", EMPTY, writing(4000))
    assert kept(cache) == {"one"}


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    cache = TemplateCache(tmp_path / "cache", 3000)
    leftover = cache.folder / "one" / "tmp-1"
    leftover.mkdir(parents=True)
    store(cache, "one", 10, 1)
    assert not leftover.exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_others_may_not_use_the_folder(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    TemplateCache(folder, 3000)
    folder.chmod(mode)
    with pytest.raises(OSError, match="must belong to you, with the permissions 0700"):
        TemplateCache(folder, 3000)


def test_the_folder_must_not_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="must belong to you"):
        TemplateCache(tmp_path / "cache", 3000)


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Where the databases of the user's project are."""
    if request.param == "postgres":
        installed_programs("machine")
    engine: str = request.param
    return engine


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    return made_by(tmp_path_factory.mktemp("project") / "shop", engine=engine)


@pytest.fixture(scope="module")
def planned(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the template of the project."""
    folder = tmp_path_factory.mktemp("planned")
    sessions = Sessions(folder)
    sessions.keep(project)
    return sessions.cache


@pytest.mark.parametrize("name", ["contents.pickle", "modules.json", "manifest.json", "data"])
@pytest.mark.parametrize("how", ["missing", "cut"])
def test_an_incomplete_template_is_planned_anew(
    project: Path, engine: str, planned: Path, tmp_path: Path, name: str, how: str
) -> None:
    sessions = Sessions(tmp_path)
    shutil.copytree(planned, sessions.cache)
    assert sessions.would_reuse(project)
    if name == "data":
        name = {"duckdb": "databases", "postgres": "cluster"}[engine]
    (place,) = (each for each in sessions.cache.rglob(name) if "tmp-" not in str(each))
    files = [place] if place.is_file() else [f for f in place.rglob("*") if f.is_file()]
    for file in files:
        if how == "missing":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-10])
    assert not sessions.would_reuse(project)


def test_what_is_wrong_with_a_template_is_reported(
    project: Path, planned: Path, tmp_path: Path
) -> None:
    sessions = Sessions(tmp_path)
    shutil.copytree(planned, sessions.cache)
    (file,) = sessions.cache.rglob("contents.pickle")
    file.write_bytes(b"")
    for reason in ("its files are incomplete or damaged", None):
        with sessions.sandbox(project) as (sandbox, use):
            assert use.not_restored == reason
            assert sandbox.fetch("SELECT n FROM shop.one") == [(1,)]


@pytest.mark.processes
@pytest.mark.nightly
def test_a_process_is_killed_at_any_moment(project: Path, tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.sandbox.kept.killed", str(tmp_path), str(project), KILLS]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"of {KILLS} were kept" in done.stdout

"""Databases of projects that were planned once in this session: equal projects get a copy.

What a plan leaves behind is in the DuckDB file of the project alone, with the state. It depends
on the project's files, on the time and on the arguments of the plan, so these are its key.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

DATABASE = "wh.db"


def restore(project: Path, plan: Any) -> bool:
    """Give the project the database that this plan of an equal project left, if there was one."""
    kept = _kept(project, plan)
    if kept.exists():
        copyfile(kept, project / DATABASE)
    return kept.exists()


def keep(project: Path, plan: Any) -> None:
    """Keep a copy of the database, which must not be open, for equal projects."""
    assert not (project / f"{DATABASE}.wal").exists(), "something is not in the database yet"
    copyfile(project / DATABASE, _kept(project, plan))


def _kept(project: Path, plan: Any) -> Path:
    key = hashlib.sha256(repr(plan).encode())
    for file in sorted(file for file in project.rglob("*") if file.is_file()):
        name = file.relative_to(project)
        if name.parts[0] not in (".cache", "logs", DATABASE):
            content = file.read_bytes()
            if name.name == "config.yaml":
                # SQLMesh keeps nothing of it in its state, so it may name the folder.
                content = content.replace(bytes(project), b"")
            key.update(f"{name}\0{len(content)}\0".encode() + content)
    return Path(_folder().name) / key.hexdigest()


@cache
def _folder() -> TemporaryDirectory[str]:
    """Of this process, as long as it lasts."""
    return TemporaryDirectory(prefix="planned-databases-")

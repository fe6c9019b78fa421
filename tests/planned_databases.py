"""The key by which databases of projects that are planned once in this session are kept.

What a plan leaves behind is in the project's databases alone, with the state. It depends on the
project's files, on the time and on the arguments of the plan.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .engines.databases import NAME


def key(project: Path, plan: Any) -> str:
    """The key of the databases that a plan of an equal project leaves.

    Args:
        plan: what the plan depends on besides the files.
    """
    digest = hashlib.sha256(repr(plan).encode())
    for file in sorted(file for file in project.rglob("*") if file.is_file()):
        name = file.relative_to(project)
        if name.parts[0] not in (".cache", "logs", f"{NAME}.db"):
            content = file.read_bytes()
            if name.name == "config.yaml":
                # SQLMesh keeps nothing of it in its state, so it may name the folder. A server is
                # named as well: what is kept on one can't be copied to another.
                content = content.replace(bytes(project), b"")
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()

"""Detects whether a model in the project's files was edited since it was planned."""

from __future__ import annotations

from typing import Any


def differs(local: Any, planned: Any) -> bool:
    """Whether a model's definition was edited since its snapshot was planned.

    Args:
        local: the model or standalone audit in the project's files.
        planned: its snapshot in the environment.
    """
    if (planned.node.stamp or "").startswith("revert to "):
        # SQLMesh replaces the model's stamp on a version that is reinstated after a
        # forward-only plan replaced it (sqlmesh/core/context.py, `_snapshots`).
        local = local.copy(update={"stamp": planned.node.stamp})
    if local.data_hash != planned.fingerprint.data_hash:
        return True
    if local.metadata_hash == planned.fingerprint.metadata_hash:
        return False
    # Upstream schemas count as metadata; an edit of them is not an edit of this model.
    if hasattr(local, "mapping_schema"):
        local = local.copy(update={"mapping_schema": planned.node.mapping_schema})
    return bool(local.metadata_hash != planned.fingerprint.metadata_hash)

"""Whether a model of the project's files is still the one that was planned."""

from __future__ import annotations

from typing import Any


def differs(local: Any, planned: Any) -> bool:
    """Whether the definition of a model was edited since its snapshot was planned.

    Args:
        local: the model, or standalone audit, of the project's files.
        planned: the snapshot of the environment.
    """
    if (planned.node.stamp or "").startswith("revert to "):
        # SQLMesh's own, in place of the model's, on a version that comes back after a
        # forward-only plan replaced it (sqlmesh/core/context.py, `_snapshots`).
        local = local.copy(update={"stamp": planned.node.stamp})
    if local.data_hash != planned.fingerprint.data_hash:
        return True
    if local.metadata_hash == planned.fingerprint.metadata_hash:
        return False
    # The schemas of what is upstream count as metadata; their edit is not this model's.
    if hasattr(local, "mapping_schema"):
        local = local.copy(update={"mapping_schema": planned.node.mapping_schema})
    return bool(local.metadata_hash != planned.fingerprint.metadata_hash)

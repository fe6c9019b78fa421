"""The models and audits of a loaded project, and the names of its audits.

SQLMesh has up to three names for a dbt test: a context's standalone audits are keyed by package and
name, snapshots and environments have only the name, and that can be longer than dbt's own.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sqlmesh_tracker.tracking import compat

_DBT_TEST = re.compile(r"test\.[^.]+\.(?P<name>.+?)(\.[0-9a-f]{10})?")
"""dbt's unique ID of a test, which ends with a hash for a generic test."""

STUBS_SCHEMA = "sqlmesh_tracker_stubs"
"""The schema of the tables with the data that a test puts in the place of models' queries."""


def project_nodes(context: Any) -> dict[str, Any]:
    """The models and standalone audits of a SQLMesh context, by their snapshots' names.

    If two dbt packages' standalone audits share a name, SQLMesh makes a snapshot only of the last.
    """
    audits = context.standalone_audits.values()
    return {**context.models, **{audit.fqn: audit for audit in audits}}


def project_folders(context: Any) -> tuple[str, ...]:
    """The folders of the project of a SQLMesh context."""
    return tuple(map(str, context.configs))


def _absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path, without `..`; links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100


def common_folder(folders: Sequence[str]) -> str | None:
    """The folder that has all folders of a project; None if there is none."""
    try:
        return os.path.commonpath([_absolute(folder) for folder in folders])
    except ValueError:
        return None


def defining_file(node: Any, folder: str | None) -> str | None:
    """The file that defines a model or standalone audit, relative to the project's folder.

    SQLMesh's loader gives a node the path of its file; those in the state have none. External
    models and audits that a program makes have `Path()` (`create_external_model`, `load_audit`).

    Args:
        node: the model or audit.
        folder: the folder of the project.

    Returns:
        The path with `/` between folders; None if the file is outside of the folder, or unknown.
    """
    path = getattr(node, "_path", None)
    if folder is None or not path or os.fspath(path) == os.curdir:
        return None
    file, prefix = _absolute(path), folder.rstrip(os.sep) + os.sep
    return file.removeprefix(prefix).replace(os.sep, "/") if file.startswith(prefix) else None


def is_never_evaluated(node: Any) -> bool:
    """Whether the node is an external or embedded model without audits (`Snapshot.evaluatable`)."""
    return bool(getattr(node, "is_model", False) and node.kind.is_symbolic and not node.audits)


def is_stub(node: Any) -> bool:
    """Whether a model has a test's data instead of its query."""
    # What the query reads would have to be parsed first; a stub declares it.
    declared = getattr(node, "depends_on_", None) or ()
    return any(f'"{STUBS_SCHEMA}"' in name for name in declared)


def audit_names(node: Any) -> dict[str, str]:
    """SQLMesh's name of each audit of a model, or of a standalone audit → its display name.

    The display name is dbt's own name of a test (in lower case, as in SQLMesh) if no other test of
    the model has it: SQLMesh appends the model, the column and the arguments to names that users
    chose and to names that dbt truncated.
    """
    names = {audit.name: own_name(audit, audit.name) for audit, _ in node.audits_with_args}
    counts = Counter(names.values())
    return {name: own if counts[own] == 1 else name for name, own in names.items()}


def own_name(audit: Any, name: str) -> str:
    """dbt's own name of a test, in lower case; SQLMesh's `name` for any other audit."""
    dbt_id = compat.dbt_id(audit)
    match = _DBT_TEST.fullmatch(dbt_id.lower()) if dbt_id else None
    return match["name"] if match else name


def audit_arguments(arguments: Mapping[Any, Any]) -> dict[str, str]:
    """The arguments of an audit's call as SQL, without `blocking`."""
    return {
        str(name): value.sql() if hasattr(value, "sql") else str(value)
        for name, value in arguments.items()
        if name != "blocking"
    }

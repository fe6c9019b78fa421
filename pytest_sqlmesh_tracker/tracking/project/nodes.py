"""What a loaded project consists of, and what its audits are called.

SQLMesh knows a dbt test by up to three names: its context has standalone audits by package and
name, snapshots and environments have the name alone, and that can be longer than dbt's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pytest_sqlmesh_tracker.tracking import compat

_DBT_TEST = re.compile(r"test\.[^.]+\.(?P<name>.+?)(\.[0-9a-f]{10})?")
"""dbt's unique id of a test; that of a generic one ends with a hash."""


def project_nodes(context: Any) -> dict[str, Any]:
    """The models and standalone audits of a SQLMesh context, by their snapshots' names.

    Of two dbt packages' standalone audits of one name, SQLMesh makes one snapshot: of the last.
    """
    audits = context.standalone_audits.values()
    return {**context.models, **{audit.fqn: audit for audit in audits}}


def is_never_evaluated(node: Any) -> bool:
    """Whether it is an external or embedded model without audits (`Snapshot.evaluatable`)."""
    return bool(getattr(node, "is_model", False) and node.kind.is_symbolic and not node.audits)


def audit_names(node: Any) -> dict[str, str]:
    """SQLMesh's name of each audit of a model, or of a standalone audit → the name to show.

    That is dbt's own name of a test (in small letters, as SQLMesh has it) where no other test of
    the model has it: SQLMesh appends the model, the column and the arguments to names that users
    gave, and to those that dbt has cut.
    """
    names = {audit.name: own_name(audit, audit.name) for audit, _ in node.audits_with_args}
    counts = Counter(names.values())
    return {name: own if counts[own] == 1 else name for name, own in names.items()}


def own_name(audit: Any, name: str) -> str:
    """dbt's own name of a test, in small letters; of any other audit, SQLMesh's `name`."""
    dbt_id = compat.dbt_id(audit)
    match = _DBT_TEST.fullmatch(dbt_id.lower()) if dbt_id else None
    return match["name"] if match else name


def audit_arguments(arguments: Mapping[Any, Any]) -> dict[str, str]:
    """The arguments of a call of an audit as SQL, without `blocking`."""
    return {
        str(name): value.sql() if hasattr(value, "sql") else str(value)
        for name, value in arguments.items()
        if name != "blocking"
    }

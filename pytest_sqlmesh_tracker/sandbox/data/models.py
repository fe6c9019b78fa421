"""The models of a sandbox, by every name that a test can pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_sqlmesh_tracker.models.index import ModelIndex
from pytest_sqlmesh_tracker.tracking.project.names import display_names, kind_of
from pytest_sqlmesh_tracker.tracking.project.nodes import project_nodes


@dataclass(frozen=True)
class ProjectModel:
    """A model or a standalone audit of a project: its names, and its kind in lower case."""

    name: str
    fqn: str
    kind: str


def index_of(context: Any) -> ModelIndex[ProjectModel]:
    """The models and standalone audits that a context has loaded."""
    nodes = project_nodes(context)
    names = display_names(nodes, context.default_catalog)
    models = [ProjectModel(names[fqn], fqn, kind_of(node)) for fqn, node in nodes.items()]
    return ModelIndex(models, "the project")

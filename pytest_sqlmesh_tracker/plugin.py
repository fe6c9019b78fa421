"""The entry point of the pytest plugin: its fixtures and hooks, by the names that pytest looks for.

Importing it, and a session that uses none of it, import nothing heavy: SQLMesh and all that reads
reports is imported where it is first needed.
"""

from .pytest_plugin.fixtures import (
    _sqlmesh_templates,
    materialize_sqlmesh,
    sqlmesh_context,
    sqlmesh_project,
    sqlmesh_project_config,
    sqlmesh_project_setup,
    sqlmesh_tracker,
)
from .pytest_plugin.hooks import (
    pytest_addoption,
    pytest_collection_finish,
    pytest_configure,
    pytest_deselected,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_runtest_teardown,
)

__all__ = [
    "_sqlmesh_templates",
    "materialize_sqlmesh",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_deselected",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "sqlmesh_context",
    "sqlmesh_project",
    "sqlmesh_project_config",
    "sqlmesh_project_setup",
    "sqlmesh_tracker",
]

"""The entry point of the pytest plugin: its fixtures and hooks, by the names that pytest looks for.

Neither importing it nor a session that does not use it imports anything heavy: SQLMesh and the code
that reads reports are imported when first needed.
"""

from .extras import is_installed, required

if not is_installed("pytest"):
    raise ModuleNotFoundError(required(__name__, "pytest", "pytest"), name="pytest")

from .pytest_plugin.fixtures import (
    _sqlmesh_templates,
    materialize_sqlmesh,
    sqlmesh_context,
    sqlmesh_project,
    sqlmesh_project_config,
    sqlmesh_project_factory,
    sqlmesh_project_setup,
    sqlmesh_sandboxes,
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
    pytest_sessionfinish,
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
    "pytest_sessionfinish",
    "sqlmesh_context",
    "sqlmesh_project",
    "sqlmesh_project_config",
    "sqlmesh_project_factory",
    "sqlmesh_project_setup",
    "sqlmesh_sandboxes",
    "sqlmesh_tracker",
]

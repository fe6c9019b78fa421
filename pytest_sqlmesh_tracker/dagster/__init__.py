"""Dagster assets that are materialized when, and only when, SQLMesh executed the model.

Public names resolve on first use (PEP 562), and `dir()` lists them once they are resolved.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.extras import is_installed, required

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.dagster.automation.schedule import (
        build_sqlmesh_schedule as build_sqlmesh_schedule,
    )
    from pytest_sqlmesh_tracker.dagster.automation.sensor import (
        build_sqlmesh_sensor as build_sqlmesh_sensor,
    )
    from pytest_sqlmesh_tracker.dagster.component.component import (
        SqlmeshProjectComponent as SqlmeshProjectComponent,
    )
    from pytest_sqlmesh_tracker.dagster.definitions.translator import (
        SqlmeshTranslator as SqlmeshTranslator,
    )
    from pytest_sqlmesh_tracker.dagster.running.invocation import (
        SqlmeshInvocation as SqlmeshInvocation,
    )
    from pytest_sqlmesh_tracker.models.definitions import AuditDefinition as AuditDefinition
    from pytest_sqlmesh_tracker.models.definitions import ModelDefinition as ModelDefinition

    from .assets import build_sqlmesh_assets as build_sqlmesh_assets
    from .assets import sqlmesh_assets as sqlmesh_assets
    from .project import SqlmeshProject as SqlmeshProject
    from .resource import SqlmeshResource as SqlmeshResource

if not is_installed("dagster"):
    raise ModuleNotFoundError(required(__name__, "Dagster", "dagster"), name="dagster")

_HOMES = {
    "..models.definitions": ("AuditDefinition", "ModelDefinition"),
    ".assets": ("build_sqlmesh_assets", "sqlmesh_assets"),
    ".component.component": ("SqlmeshProjectComponent",),
    ".running.invocation": ("SqlmeshInvocation",),
    ".project": ("SqlmeshProject",),
    ".resource": ("SqlmeshResource",),
    ".automation.schedule": ("build_sqlmesh_schedule",),
    ".automation.sensor": ("build_sqlmesh_sensor",),
    ".definitions.translator": ("SqlmeshTranslator",),
}
_DG = "dagster.components.core.package_entry"
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# Not all of Dagster's versions have components of this kind.
__all__ = sorted(_HOME_OF.keys() - {"SqlmeshProjectComponent"})


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_sqlmesh_tracker.process.frozen import import_lazily

    value = getattr(import_lazily(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # `dg` finds the components of a module among the names that it lists. Nobody else is shown a
    # name that is not resolved: freezegun and others take the value of each.
    if sys._getframe(1).f_globals.get("__name__") == _DG:
        with suppress(ImportError):
            __getattr__("SqlmeshProjectComponent")
    return sorted(globals())

"""Dagster assets that are materialized when, and only when, SQLMesh executed the model.

Public names resolve on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..definitions import AuditDefinition as AuditDefinition
    from ..definitions import ModelDefinition as ModelDefinition
    from ..tracking.opening import ProjectError as ProjectError
    from .assets import build_sqlmesh_assets as build_sqlmesh_assets
    from .assets import sqlmesh_assets as sqlmesh_assets
    from .invocation import SqlmeshInvocation as SqlmeshInvocation
    from .project import SqlmeshProject as SqlmeshProject
    from .resource import SqlmeshResource as SqlmeshResource
    from .translator import SqlmeshTranslator as SqlmeshTranslator

_HOMES = {
    "..definitions": ("AuditDefinition", "ModelDefinition"),
    "..tracking.opening": ("ProjectError",),
    ".assets": ("build_sqlmesh_assets", "sqlmesh_assets"),
    ".invocation": ("SqlmeshInvocation",),
    ".project": ("SqlmeshProject",),
    ".resource": ("SqlmeshResource",),
    ".translator": ("SqlmeshTranslator",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

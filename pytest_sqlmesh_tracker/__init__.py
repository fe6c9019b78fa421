"""What SQLMesh decided: every model of every invocation executed, failed, skipped - and why.

Public names resolve on first use (PEP 562): importing this package imports neither sqlmesh nor
pydantic nor pytest. `dir()` lists a name once it is resolved, and not before: freezegun and others
take the value of every name that any module lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.models.matching import UnknownModelError as UnknownModelError
    from pytest_sqlmesh_tracker.outcomes.outcomes import AuditOutcome as AuditOutcome
    from pytest_sqlmesh_tracker.outcomes.outcomes import Batch as Batch
    from pytest_sqlmesh_tracker.outcomes.outcomes import Cause as Cause
    from pytest_sqlmesh_tracker.outcomes.outcomes import ModelOutcome as ModelOutcome
    from pytest_sqlmesh_tracker.outcomes.outcomes import Reason as Reason
    from pytest_sqlmesh_tracker.outcomes.outcomes import Status as Status
    from pytest_sqlmesh_tracker.reports.assertions import assert_audit_failed as assert_audit_failed
    from pytest_sqlmesh_tracker.reports.assertions import assert_executed as assert_executed
    from pytest_sqlmesh_tracker.reports.assertions import (
        assert_execution_order as assert_execution_order,
    )
    from pytest_sqlmesh_tracker.reports.assertions import assert_failed as assert_failed
    from pytest_sqlmesh_tracker.reports.assertions import assert_not_executed as assert_not_executed
    from pytest_sqlmesh_tracker.reports.assertions import (
        assert_nothing_executed as assert_nothing_executed,
    )
    from pytest_sqlmesh_tracker.reports.assertions import (
        assert_only_executed as assert_only_executed,
    )
    from pytest_sqlmesh_tracker.reports.assertions import assert_outcomes as assert_outcomes
    from pytest_sqlmesh_tracker.reports.assertions import assert_skipped as assert_skipped
    from pytest_sqlmesh_tracker.reports.files import dump_reports as dump_reports
    from pytest_sqlmesh_tracker.reports.files import load_reports as load_reports
    from pytest_sqlmesh_tracker.reports.report import NoReportError as NoReportError
    from pytest_sqlmesh_tracker.reports.report import RunReport as RunReport
    from pytest_sqlmesh_tracker.sandbox.options import SandboxError as SandboxError
    from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox as Sandbox
    from pytest_sqlmesh_tracker.sandbox.sandbox import SandboxWarning as SandboxWarning
    from pytest_sqlmesh_tracker.tracking.tracker import Tracker as Tracker
    from pytest_sqlmesh_tracker.tracking.tracker import sqlmesh_run_tracker as sqlmesh_run_tracker
    from pytest_sqlmesh_tracker.tracking.tracker import track_all as track_all

    from .gate import GatePolicy as GatePolicy
    from .gate import GatePolicyError as GatePolicyError
    from .gate import GateResult as GateResult
    from .gate import GateRule as GateRule

__version__ = "0.1.0"

_HOMES = {
    ".assertions": (
        "assert_audit_failed",
        "assert_executed",
        "assert_execution_order",
        "assert_failed",
        "assert_not_executed",
        "assert_nothing_executed",
        "assert_only_executed",
        "assert_outcomes",
        "assert_skipped",
    ),
    ".gate": ("GatePolicy", "GatePolicyError", "GateResult", "GateRule"),
    ".matching": ("UnknownModelError",),
    ".outcomes": ("AuditOutcome", "Batch", "Cause", "ModelOutcome", "Reason", "Status"),
    ".report": ("NoReportError", "RunReport"),
    ".report_files": ("dump_reports", "load_reports"),
    ".sandbox.options": ("SandboxError",),
    ".sandbox.project": ("Sandbox", "SandboxWarning"),
    ".tracking.tracker": ("Tracker", "sqlmesh_run_tracker", "track_all"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_sqlmesh_tracker.process.frozen import import_lazily

    value = getattr(import_lazily(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value

"""What SQLMesh decided: every model of every invocation executed, failed, skipped - and why.

Public names resolve on first use (PEP 562): importing this package imports neither sqlmesh nor
pydantic nor pytest. `dir()` lists a name once it is resolved, and not before: freezegun and others
take the value of every name that any module lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .forecast.results import Forecast as Forecast
    from .forecast.results import ForecastRun as ForecastRun
    from .gate import GatePolicy as GatePolicy
    from .gate import GatePolicyError as GatePolicyError
    from .gate import GateResult as GateResult
    from .gate import GateRule as GateRule
    from .gate import GateTolerance as GateTolerance
    from .history.report_files import dump_reports as dump_reports
    from .history.report_files import load_reports as load_reports
    from .models.index import UnknownModelError as UnknownModelError
    from .outcomes.outcome import AuditOutcome as AuditOutcome
    from .outcomes.outcome import Batch as Batch
    from .outcomes.vocabulary import Cause as Cause
    from .outcomes.vocabulary import Reason as Reason
    from .outcomes.vocabulary import Status as Status
    from .predictions.model_now import ModelNow as ModelNow
    from .predictions.predicted_run import PredictedRun as PredictedRun
    from .reports.assertions import assert_audit_failed as assert_audit_failed
    from .reports.assertions import assert_executed as assert_executed
    from .reports.assertions import assert_execution_order as assert_execution_order
    from .reports.assertions import assert_failed as assert_failed
    from .reports.assertions import assert_not_executed as assert_not_executed
    from .reports.assertions import assert_nothing_executed as assert_nothing_executed
    from .reports.assertions import assert_only_executed as assert_only_executed
    from .reports.assertions import assert_outcomes as assert_outcomes
    from .reports.assertions import assert_skipped as assert_skipped
    from .reports.outcomes import ModelOutcome as ModelOutcome
    from .reports.report import NoReportError as NoReportError
    from .reports.report import RunReport as RunReport
    from .sandbox.making import Sandboxes as Sandboxes
    from .sandbox.options import SandboxError as SandboxError
    from .sandbox.sandbox import Sandbox as Sandbox
    from .sandbox.sandbox import SandboxWarning as SandboxWarning
    from .tracking.errors.types import ProjectError as ProjectError
    from .tracking.queries.prediction.why import why as why
    from .tracking.tracker import Tracker as Tracker
    from .tracking.tracker import sqlmesh_run_tracker as sqlmesh_run_tracker
    from .tracking.tracker import track_all as track_all

_HOMES = {
    ".forecast.results": (
        "Forecast",
        "ForecastRun",
    ),
    ".gate": (
        "GatePolicy",
        "GatePolicyError",
        "GateResult",
        "GateRule",
        "GateTolerance",
    ),
    ".history.report_files": (
        "dump_reports",
        "load_reports",
    ),
    ".models.index": ("UnknownModelError",),
    ".outcomes.outcome": (
        "AuditOutcome",
        "Batch",
    ),
    ".outcomes.vocabulary": (
        "Cause",
        "Reason",
        "Status",
    ),
    ".predictions.model_now": ("ModelNow",),
    ".predictions.predicted_run": ("PredictedRun",),
    ".reports.assertions": (
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
    ".reports.outcomes": ("ModelOutcome",),
    ".reports.report": (
        "NoReportError",
        "RunReport",
    ),
    ".sandbox.making": ("Sandboxes",),
    ".sandbox.options": ("SandboxError",),
    ".sandbox.sandbox": (
        "Sandbox",
        "SandboxWarning",
    ),
    ".tracking.errors.types": ("ProjectError",),
    ".tracking.queries.prediction.why": ("why",),
    ".tracking.tracker": (
        "Tracker",
        "sqlmesh_run_tracker",
        "track_all",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .process.frozen import import_lazily

    value = getattr(import_lazily(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value

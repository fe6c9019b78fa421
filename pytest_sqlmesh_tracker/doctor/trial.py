"""A trial: plans and runs a small project, and compares the reports with what must have happened.

It opens only its own project and its own in-memory database, and leaves nothing changed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.preferences import Preferences, prefer
from pytest_sqlmesh_tracker.tracking.tracker import sqlmesh_run_tracker

_PLANNED, _RUN = "2024-01-09 12:00:00", "2024-01-10 12:00:00"
_ON_THE_RUN = "@execution_ds = '2024-01-10'"
_MODELS = {
    "trial.daily": ("@daily", "SELECT 1 AS id"),
    "trial.weekly": ("@weekly", "SELECT id FROM trial.daily"),
    "trial.broken": ("@daily", f"SELECT CASE WHEN {_ON_THE_RUN} THEN error('broken') END AS id"),
    "trial.below": ("@daily", "SELECT id FROM trial.broken"),
    "trial.audited": ("@daily", f"SELECT CASE WHEN {_ON_THE_RUN} THEN NULL ELSE 1 END AS id"),
}
_EXPECTED = {
    "plan": dict.fromkeys(_MODELS, "executed"),
    "run": {
        "trial.daily": "executed",
        "trial.weekly": "cron_not_due",
        "trial.broken": "error",
        "trial.below": "upstream_failed",
        "trial.audited": "audit_failed",
    },
}


def mistakes() -> list[str]:
    """The mistakes in the trial's reports, one line each.

    Raises:
        Exception: SQLMesh raised it.
    """
    with _unnoticed(), TemporaryDirectory() as folder, _context(Path(folder)) as context:
        with sqlmesh_run_tracker(context) as tracker:
            context.plan(auto_apply=True, no_prompts=True, execution_time=_PLANNED)
            context.run(execution_time=_RUN, skip_janitor=True)
        return list(mistakes_in(tracker.reports))


def mistakes_in(reports: Sequence[RunReport]) -> Iterator[str]:
    """The mistakes in these reports on the trial."""
    commands = [report.command for report in reports]
    if commands != list(_EXPECTED):
        yield f"expected reports of a plan and a run, found: {', '.join(commands) or 'none'}"
        return
    for report in reports:
        for model, expected in _EXPECTED[report.command].items():
            outcome = _outcome(report, model)
            if outcome != expected:
                yield f"the {report.command} reports {model} as {outcome}, not {expected}"


def _outcome(report: RunReport, model: str) -> str:
    outcome = report.outcomes.get(model)
    if outcome is None:
        return "not listed"
    return outcome.message if outcome.status == "unknown" else str(outcome.reason or outcome.status)


@contextmanager
def _context(folder: Path) -> Iterator[Any]:
    from sqlmesh import Context
    from sqlmesh.core.config import (
        Config,
        DuckDBConnectionConfig,
        GatewayConfig,
        ModelDefaultsConfig,
    )

    (folder / "models").mkdir()
    for name, (cron, query) in _MODELS.items():
        audits = ", audits (not_null(columns := (id)))" if name == "trial.audited" else ""
        model = f"MODEL (name {name}, kind FULL, cron '{cron}', start '2024-01-01'{audits});"
        (folder / "models" / f"{name}.sql").write_text(f"{model}\n\n{query}\n", encoding="utf-8")
    config = Config(
        gateways={"trial": GatewayConfig(connection=DuckDBConnectionConfig())},
        default_gateway="trial",
        model_defaults=ModelDefaultsConfig(dialect="duckdb"),
        disable_anonymized_analytics=True,
    )
    context: Any = Context(paths=str(folder), config=config)
    prefer(context, Preferences(left_out=True))
    try:
        yield context
    finally:
        context.close()


@contextmanager
def _unnoticed() -> Iterator[None]:
    """Suppress output, logs, warnings and analytics, and restore them afterwards."""
    from sqlmesh.core import analytics
    from sqlmesh.core.analytics.collector import AnalyticsCollector
    from sqlmesh.core.analytics.dispatcher import NoopEventDispatcher
    from sqlmesh.core.console import NoopConsole, get_console, set_console

    console, collector, level = get_console(), analytics.collector, logging.root.manager.disable
    # A configuration without analytics shuts down the current collector for good.
    analytics.collector = AnalyticsCollector(dispatcher=NoopEventDispatcher())
    set_console(NoopConsole())
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        set_console(console)
        analytics.collector = collector

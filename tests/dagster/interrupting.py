"""Runs in this process that are interrupted: how, and what is on record of them then."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import dagster as dg
import pytest
from sqlmesh.core.snapshot import SnapshotEvaluator

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, build_sqlmesh_assets

from .sites import Site, materialized_in

EVALUATIONS = {dg.DagsterEventType.ASSET_CHECK_EVALUATION}


class Here:
    """A site whose assets are materialized in this process."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.site, self.instance = site, instance
        self.project = SqlmeshProject(site.path)
        self.warehouse = build_sqlmesh_assets(project=self.project, name="warehouse")
        self.seconds = 0.0
        """How long the last run took."""

    def materialize(self, *assets: Any, **limits: Any) -> dg.ExecuteInProcessResult:
        """Materialize these assets, or the warehouse; a failure does not raise.

        Args:
            limits: how long the resource waits, and for what.
        """
        began = time.monotonic()
        result = dg.materialize(
            assets or [self.warehouse],
            resources={"sqlmesh": SqlmeshResource(project=self.project, **limits)},
            instance=self.instance,
            raise_on_error=False,
        )
        self.seconds = time.monotonic() - began
        return result

    def materialized(self, result: dg.ExecuteInProcessResult) -> set[str]:
        """What is on record as materialized by the run, once each."""
        keys = materialized_in(self.instance, result.run_id)
        assert len(keys) == len(set(keys))
        return set(keys)

    def checks_on_record(self, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        """Asset → its status check, each evaluated once: Dagster's result has only what was
        yielded."""
        entries = self.instance.all_logs(result.run_id, of_type=EVALUATIONS)
        events = [entry.dagster_event for entry in entries if entry.dagster_event]
        evaluations = [event.asset_check_evaluation_data for event in events]
        by_asset = {each.asset_key.to_user_string(): each for each in evaluations}
        assert len(evaluations) == len(by_asset)
        return by_asset

    def statuses(self, result: dg.ExecuteInProcessResult) -> dict[str, object]:
        """Asset → the status in its status check."""
        checks = self.checks_on_record(result)
        return {key: each.metadata["sqlmesh/status"].value for key, each in checks.items()}

    def warnings(self, result: dg.ExecuteInProcessResult) -> list[str]:
        """What the run logged as warnings."""
        entries = self.instance.all_logs(result.run_id)
        # 30: a warning.
        return [entry.user_message for entry in entries if entry.level == 30]


def interrupt() -> None:
    """As Ctrl-C does, or Dagster when it terminates a run."""
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_in(
    monkeypatch: pytest.MonkeyPatch, method: str, model: str | None = None, times: int = 1
) -> None:
    """Interrupt, so many times, as SQLMesh's evaluator begins to do that."""
    original, left = getattr(SnapshotEvaluator, method), [interrupt] * times

    def interrupted(self: SnapshotEvaluator, *args: Any, **kwargs: Any) -> Any:
        while left and (model is None or args[0].node.name == model):
            # By now Dagster waits for the next event; it is interrupted before this continues.
            time.sleep(0.5)
            left.pop()()
            time.sleep(0.2)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(SnapshotEvaluator, method, interrupted)

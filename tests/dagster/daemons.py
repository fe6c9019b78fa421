"""Dagster's automation, that looks at assets now and then."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg


class Daemon:
    """One that looks at all assets, and remembers what it has seen."""

    def __init__(self, instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
        self.definitions = definitions
        self._instance = instance
        self._cursor: Any = None

    def look(self, moment: str | None = None, zone: str = "UTC") -> set[str]:
        """The assets that it requests, in one run.

        Args:
            moment: when it looks, in the time zone; by default, now.
        """
        now = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)) if moment else None
        evaluated: Any = dg.evaluate_automation_conditions(
            defs=self.definitions,
            instance=self._instance,
            evaluation_time=now,
            asset_selection=dg.AssetSelection.all(),
            cursor=self._cursor,
        )
        self._cursor = evaluated.cursor
        keys = [result.key for result in evaluated.results if result.true_subset.size]
        return {key.to_user_string() for key in keys if isinstance(key, dg.AssetKey)}

    def begin_run(self, keys: frozenset[dg.AssetKey] | None = None) -> dg.DagsterRun:
        """A run of these assets, or of all, that is under way."""
        job = self.definitions.get_repository_def().get_job("__ASSET_JOB")
        return self._instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, asset_selection=keys
        )

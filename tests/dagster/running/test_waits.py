"""Steps that wait: for their environment, and for running batches when they are terminated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlmesh.core.plan import PlanBuilder

from pytest_sqlmesh_tracker.tracking.events.waiting import EnvironmentWait
from tests.dagster.building import planning, running
from tests.dagster.conftest import checks, facts, step_failure
from tests.dagster.interrupting import Here, interrupt, interrupt_in
from tests.dagster.sites import MODELS, Site, until

PROBLEM = (
    "plan 1a2b3c4d of prod is not finished; if it failed or was stopped, apply a plan to prod: "
    "until then, runs wait (environments: prod)"
)
NOT_KNOWN = (
    "interrupted: it was still being evaluated when the invocation was abandoned; whether the "
    "evaluation was recorded is unknown"
)


@pytest.fixture
def here(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Here]:
    site = Site(tmp_path, concurrent_tasks=4)
    monkeypatch.setenv("SITE", str(site.path))
    yield Here(site, instance)
    # An abandoned invocation comes to its end.
    site.let_slow_go_on()
    until(lambda: not sqlmesh_threads())
    site.close()


def sqlmesh_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sqlmesh"]


def statuses(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {key: facts(check)["sqlmesh/status"] for key, check in checks(result).items()}


class TestForTheEnvironment:
    def test_an_interrupt_ends_the_wait(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        announce = EnvironmentWait._announce

        def announced(self: EnvironmentWait) -> None:
            announce(self)
            threading.Timer(0.3, interrupt).start()

        monkeypatch.setattr(EnvironmentWait, "_announce", announced)
        here.site.leave_prod_unfinished()
        result = here.materialize()

        assert here.seconds < 10
        assert not result.success
        assert here.warnings(result) == [f"SQLMesh is waiting to run prod: {PROBLEM}"]
        run = here.instance.get_run_by_id(result.run_id)
        assert run
        assert run.tags["sqlmesh/waits_for_plan"] == "1a2b3c4d5e"
        evaluations = here.checks_on_record(result)
        assert set(evaluations) == MODELS
        for each in evaluations.values():
            assert each.description == f"interrupted: {PROBLEM}"
            metadata = facts(each)
            assert metadata["sqlmesh/reason"] == "environment_busy"
            assert metadata["sqlmesh/reasons"] == "environment_busy, aborted"
            assert metadata["sqlmesh/unfinished_plan"] == "1a2b3c4d5e"
            assert metadata["sqlmesh/environments"] == "prod"
            assert metadata["sqlmesh/remedy"].endswith(
                "apply a plan to prod: until then, runs wait"
            )

    def test_a_wait_at_its_limit_fails_the_step_with_one_line(self, here: Here) -> None:
        here.site.leave_prod_unfinished()
        result = here.materialize(longest_wait=0)

        failure = step_failure(result)
        assert failure.description == f"SQLMesh run of prod: {PROBLEM}"
        assert facts(failure)["sqlmesh/environments"] == "prod"
        assert facts(failure)["sqlmesh/unfinished_plan"] == "1a2b3c4d5e"
        assert statuses(result) == dict.fromkeys(MODELS, "interrupted")

    def test_a_missing_environment(self, here: Here) -> None:
        result = here.materialize(running(here.project, environment="pord"))

        problem = "environment pord does not exist; create it by applying a plan to pord"
        failure = step_failure(result)
        assert failure.description == f"SQLMesh run of pord: {problem} (environments: prod)"
        for check in checks(result).values():
            assert check.description == f"interrupted: {problem} (environments: prod)"
            assert facts(check)["sqlmesh/remedy"] == "create it by applying a plan to pord"


class TestForRunningBatches:
    @pytest.mark.long
    def test_a_batch_that_does_not_end(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        interrupt_in(monkeypatch, "evaluate", "c.slow")
        result = here.materialize(drain_timeout=1)

        assert here.seconds < 15
        assert not result.success
        assert here.materialized(result) == {"c/first", "c/beside"}
        evaluations = here.checks_on_record(result)
        assert evaluations["c/first"].passed
        assert evaluations["c/beside"].passed
        assert evaluations["c/slow"].description == NOT_KNOWN
        assert evaluations["c/third"].description == "interrupted: the invocation was aborted"
        assert here.warnings(result) == [
            "SQLMesh did not finish within 1 s, the resource's drain_timeout, and was abandoned: "
            "it was still evaluating c.slow. What it commits later is not recorded here"
        ]

        # The abandoned invocation has the project in this process.
        blocked = here.materialize()
        assert step_failure(blocked).description.startswith(
            "SQLMesh is still working on this project"
        )
        here.site.let_slow_go_on()
        until(lambda: not sqlmesh_threads())
        assert here.materialized(result) == {"c/first", "c/beside"}
        assert here.site.loaded() == MODELS - {"c/third"}
        last = here.materialize()
        assert last.success
        assert here.materialized(last) == {"c/third"}

    def test_a_plan_that_does_not_reach_a_model(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build, left = PlanBuilder.build, [interrupt]

        def stalled(self: PlanBuilder) -> Any:
            if left:
                left.pop()()
                until((here.site.path / "go").exists)
            return build(self)

        monkeypatch.setattr(PlanBuilder, "build", stalled)
        result = here.materialize(planning(here.project), drain_timeout=0.5)

        assert here.seconds < 15
        evaluations = here.checks_on_record(result)
        assert set(evaluations) == MODELS
        for check in evaluations.values():
            assert check.description == "interrupted: the invocation was aborted"
        assert "was in the middle of the plan" in here.warnings(result)[0]
        assert here.materialized(result) == set()

"""Processes that are killed, and an event log that goes away, while SQLMesh runs."""

from __future__ import annotations

from contextlib import ExitStack

from tests.dagster.sites import SECONDS, until

from .warehouses import (
    AT_THE_GATE,
    BESIDE,
    COMPLETE,
    GATE,
    NOTHING,
    REPAIRED,
    REPORTED,
    STOCK,
    YEARS,
    Warehouse,
    documented,
)


def test_a_retry_policy_repeats_a_killed_step(warehouse: Warehouse) -> None:
    """PostgreSQL has ended the query of the killed process by then, if it is to look for it."""
    warehouse.variables["RETRIES"] = "1"
    warehouse.allow_one_run_at_a_time()
    warehouse.query(
        "warehouse", "ALTER DATABASE warehouse SET client_connection_check_interval = '200ms'"
    )
    with ExitStack() as stack:
        with warehouse.closed(GATE):
            run = stack.enter_context(warehouse.execute("prod"))
            until(lambda: warehouse.waiting_at(GATE))
            until(lambda: warehouse.on_record("prod") == AT_THE_GATE)
            warehouse.kill_step("prod")
            until(lambda: not warehouse.waiting_at(GATE))
            until(lambda: warehouse.waiting_at(GATE))
            assert len(warehouse.step_processes("prod")) == 2
        assert run.wait(SECONDS) == 0
    assert warehouse.on_record("prod") == REPAIRED
    assert [run.status.value for run in warehouse.runs()] == ["SUCCESS"]


def test_a_killed_run_is_repeated(warehouse: Warehouse) -> None:
    """As when a container ends: the process of the run and that of its step, with the documented
    settings of the instance and a limit of the pool."""
    (warehouse.home / "dagster.yaml").write_text(documented("dagster.yaml"))
    warehouse.allow_one_run_at_a_time()
    with warehouse.daemon():
        with warehouse.closed(GATE), warehouse.launch("prod") as command:
            assert command.wait(SECONDS) == 0
            until(lambda: warehouse.on_record("prod") == AT_THE_GATE)
            warehouse.kill_step("prod", with_run=True)
            until(lambda: len(warehouse.step_processes("prod")) == 2)
        until(lambda: all(run.is_finished for run in warehouse.runs()))
    assert [run.status.value for run in warehouse.runs()] == ["FAILURE", "SUCCESS"]
    assert warehouse.on_record("prod") == REPAIRED


def test_killed_between_the_commit_and_the_record(warehouse: Warehouse) -> None:
    """The one model of which Dagster does not know: the sensor reports it, and the batches of the
    model that is not finished."""
    warehouse.variables["SENSORS"] = "RUNNING"
    with ExitStack() as stack:
        stack.enter_context(warehouse.daemon())
        until(lambda: "recorded what is loaded in prod" in warehouse.log)
        with warehouse.closed(GATE):
            with warehouse.closed(STOCK):
                run = stack.enter_context(warehouse.execute("prod"))
                until(lambda: warehouse.waiting_at(GATE) and warehouse.waiting_at(STOCK))
                until(lambda: warehouse.loaded("prod", "orders") == BESIDE)
                event_log = stack.enter_context(ExitStack())
                event_log.enter_context(warehouse.locked_event_log())
            until(lambda: warehouse.loaded("prod", "stock") == YEARS)
            until(warehouse.storing)
            abandoned = warehouse.storing()
            warehouse.kill_step("prod")
            warehouse.query("dagster", "SELECT pg_terminate_backend(unnest(%s))", abandoned)
            assert warehouse.materialized("prod", "stock") == []
            event_log.close()
            assert run.wait(SECONDS) == 1
        until(lambda: warehouse.on_record("prod") == REPORTED)
    warehouse.run_to_its_end("prod")
    assert warehouse.on_record("prod") == COMPLETE


def test_the_event_log_goes_away_and_comes_back(warehouse: Warehouse) -> None:
    """The step fails as soon as Dagster gives up. It records what SQLMesh has committed by the end
    of the running batches."""
    with ExitStack() as stack:
        with warehouse.closed(GATE):
            with warehouse.closed(STOCK):
                run = stack.enter_context(warehouse.execute("prod"))
                until(lambda: warehouse.waiting_at(GATE) and warehouse.waiting_at(STOCK))
                until(lambda: warehouse.loaded("prod", "orders") == BESIDE)
                event_log = stack.enter_context(ExitStack())
                event_log.enter_context(warehouse.without_event_log())
            until(lambda: warehouse.loaded("prod", "stock") == YEARS)
            until(lambda: "too many retries for DB connection" in warehouse.log)
            event_log.close()
        assert run.wait(SECONDS) == 1
    assert warehouse.on_record("prod") == {**COMPLETE, "totals": NOTHING}
    warehouse.run_to_its_end("prod")
    assert warehouse.on_record("prod") == COMPLETE

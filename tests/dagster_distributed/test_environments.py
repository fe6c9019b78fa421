"""Several runs at once, of several environments, with everything in PostgreSQL."""

from __future__ import annotations

from contextlib import ExitStack

from tests.dagster.sites import SECONDS, until

from .warehouses import (
    AT_THE_GATE,
    COMPLETE,
    ENVIRONMENTS,
    GATE,
    REPAIRED,
    YEARS,
    Warehouse,
)


def test_four_runs_of_four_environments_and_one_is_killed(warehouse: Warehouse) -> None:
    """Each records what SQLMesh has committed in its environment, and nothing else."""
    others = [each for each in ENVIRONMENTS if each != "dev_ben"]
    with ExitStack() as stack:
        with warehouse.closed(GATE):
            runs = {each: stack.enter_context(warehouse.execute(each)) for each in ENVIRONMENTS}
            until(lambda: warehouse.waiting_at(GATE) == 4)
            until(lambda: all(warehouse.on_record(each) == AT_THE_GATE for each in ENVIRONMENTS))
            warehouse.kill_step("dev_ben")
            assert runs["dev_ben"].wait(SECONDS) == 1
            # PostgreSQL does not know yet that nobody waits for the rows of one of them.
            assert warehouse.waiting_at(GATE) == 4
        assert [runs[each].wait(SECONDS) for each in others] == [0, 0, 0]
    assert [warehouse.on_record(each) for each in others] == [COMPLETE] * 3
    assert warehouse.on_record("dev_ben") == AT_THE_GATE
    warehouse.run_to_its_end("dev_ben")
    assert warehouse.on_record("dev_ben") == REPAIRED


def test_schedules_of_several_code_locations(warehouse: Warehouse) -> None:
    """Each requests what is due in its environment, also while the other one's run goes on."""
    warehouse.variables["SCHEDULES"] = "RUNNING"
    with warehouse.daemon("prod.py", "staging.py"):
        with warehouse.closed(GATE):
            until(lambda: warehouse.waiting_at(GATE) == 2)
        until(lambda: all(run.is_finished for run in warehouse.runs()))
    assert {run.tags["sqlmesh/environment"] for run in warehouse.runs()} == {"prod", "staging"}
    assert [run.status.value for run in warehouse.runs()] == ["SUCCESS", "SUCCESS"]
    assert warehouse.on_record("prod") == warehouse.on_record("staging") == COMPLETE


class TestSharedTables:
    """Environments with the same versions of models have the same tables. SQLMesh does not look
    whether another run is loading them."""

    ENVIRONMENTS = ("staging", "prod")

    def test_two_runs_at_once_load_them_twice(self, warehouse_of_shared_tables: Warehouse) -> None:
        """Each of them, and so Dagster, knows nothing of the other."""
        warehouse = warehouse_of_shared_tables
        with ExitStack() as stack:
            with warehouse.closed(GATE):
                runs = [stack.enter_context(warehouse.execute(each)) for each in self.ENVIRONMENTS]
                until(lambda: warehouse.waiting_at(GATE) == 2)
            assert [run.wait(SECONDS) for run in runs] == [0, 0]
        assert warehouse.years_of_orders("prod").count(GATE) == 2
        assert all(GATE in warehouse.materialized(each, "orders") for each in self.ENVIRONMENTS)

    def test_a_common_pool_keeps_them_apart(self, warehouse_of_shared_tables: Warehouse) -> None:
        """The second run finds nothing to do."""
        warehouse = warehouse_of_shared_tables
        warehouse.allow_one_run_at_a_time()
        with ExitStack() as stack:
            with warehouse.closed(GATE):
                runs = [stack.enter_context(warehouse.execute(each)) for each in self.ENVIRONMENTS]
                until(lambda: "Step blocked by limit for pool" in warehouse.log)
                until(lambda: warehouse.waiting_at(GATE))
            assert [run.wait(SECONDS) for run in runs] == [0, 0]
        assert warehouse.years_of_orders("prod") == YEARS
        by_environment = [warehouse.materialized(each, "orders") for each in self.ENVIRONMENTS]
        assert sorted(by_environment) == [[], YEARS]

from tests.dagster_assets.conftest import *
from pytest_sqlmesh_tracker.dagster.testing import *
def test_x(sqlmesh_project, materialize_sqlmesh, warehouse):
    sqlmesh_project.fail("shop.weekly",times=1)
    r=materialize_sqlmesh(warehouse, run_config={"ops":{"warehouse":{"config":{"ignore_cron":True}}}})
    assert_sqlmesh_status(r,"shop/weekly","failed")
    r=materialize_sqlmesh(warehouse)
    assert_check_failed(r,"shop/weekly","sqlmesh_execution_status")

"""The parts of the pytest plugin, whose entry point is `pytest_sqlmesh_tracker.plugin`."""

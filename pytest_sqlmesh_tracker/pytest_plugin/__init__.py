"""What the plugin is made of; `pytest_sqlmesh_tracker.plugin` is its entry point."""

"""`python -m pytest_sqlmesh_tracker.cli`, for when scripts are not on the path."""

from .commands import main

main(prog_name="sqlmesh-tracker")

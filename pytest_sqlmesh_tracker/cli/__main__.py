"""`python -m pytest_sqlmesh_tracker.cli`, where scripts are not on the path."""

from . import main

main(prog_name="sqlmesh-tracker")

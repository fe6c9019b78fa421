"""The tests under every SQLMesh, Dagster, pytest and Python that is supported.

Each combination has its own virtual environment in `.venv-compat`. Standard library only, so that
it starts on a bare Python.
"""

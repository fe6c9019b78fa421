"""Projects on a real PostgreSQL server, whose sessions a test ends, and a second user's session."""

from __future__ import annotations

import pytest

from tests.engines.engine import ENGINE
from tests.projects import Project

from .meddling import Meddler

# Only `make postgres` and the like have a server.
collect_ignore_glob = [] if ENGINE.has_server else ["test_*.py"]


@pytest.fixture
def meddler(project: Project) -> Meddler:
    """Someone else on the server of `project`."""
    return Meddler.on(project)

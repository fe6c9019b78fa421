"""Strategies of Hypothesis for projects: histories, and rows of models.

They require the extra `hypothesis`.
"""

from __future__ import annotations

from pytest_sqlmesh_tracker.extras import is_installed, required

if not is_installed("hypothesis"):
    raise ModuleNotFoundError(required(__name__, "Hypothesis", "hypothesis"), name="hypothesis")

from pytest_sqlmesh_tracker.histories.replaying import replay
from pytest_sqlmesh_tracker.histories.steps import Change, Failure, History, Restate, Run

from .drawing import histories
from .independence import assert_history_independent
from .model_rows import model_rows

__all__ = [
    "Change",
    "Failure",
    "History",
    "Restate",
    "Run",
    "assert_history_independent",
    "histories",
    "model_rows",
    "replay",
]

"""The command `check`: its options, also from `pyproject.toml`, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_sqlmesh_tracker.gate.policy import nearest_document
from pytest_sqlmesh_tracker.gate.rules import GatePolicyError
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.wording.printable import printable

from .check_output import as_dict, as_json, as_markdown, as_table
from .output import Output

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.histories.diagnosing import Finding

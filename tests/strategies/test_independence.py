"""Whether the rows of models depend on the history: what is promised for which kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_sqlmesh_tracker.histories.diagnosing import Finding, Sort
from pytest_sqlmesh_tracker.sandbox.making import Sandboxes
from pytest_sqlmesh_tracker.strategies import (
    Failure,
    History,
    Run,
    histories,
)
from pytest_sqlmesh_tracker.strategies.independence import search

TWICE = History([Run(failures=(Failure("shop.appended", after_write=True),))], days=3)


@pytest.fixture(scope="module")
def findings(sqlmesh_project_factory: Sandboxes, shop: Any) -> Iterator[dict[str, Finding]]:
    """What is found in the whole project."""
    options = {"path": str(shop), "at": "2024-01-02", "setup": str(shop / "raw.sql")}
    with search(
        sqlmesh_project_factory, None, histories(days=3), 2, {}, None, options
    ) as searching:
        yield {finding.model: finding for finding in searching.findings()}


class TestAProject:
    def test_independent_models_are_not_found(self, findings: dict[str, Finding]) -> None:
        assert set(findings) == {"shop.appended", "shop.loaded", "shop.drawn"}

    def test_a_model_that_appends_keeps_what_was_written_before_a_failure(
        self, findings: dict[str, Finding]
    ) -> None:
        finding = findings["shop.appended"]
        assert (finding.history, finding.sort) == (TWICE, Sort.NOT_MENDED)
        assert finding.difference is not None
        assert finding.difference.only_left == 2

    def test_a_time_of_loading_is_mended_by_a_restatement(
        self, findings: dict[str, Finding]
    ) -> None:
        finding = findings["shop.loaded"]
        assert (finding.history, finding.sort) == (History([], days=3), Sort.DEPENDS_ON_HISTORY)

    def test_random_numbers_are_not_deterministic(self, findings: dict[str, Finding]) -> None:
        assert findings["shop.drawn"].sort is Sort.NOT_DETERMINISTIC

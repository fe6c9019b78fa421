"""A Dagster without state-backed components: everything else works unchanged."""

from __future__ import annotations

import sys

import dagster as dg
import pytest

import pytest_sqlmesh_tracker.dagster as package


@pytest.fixture
def old_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the installed Dagster look like 1.10.18."""
    monkeypatch.setattr(dg, "__version__", "1.10.18")
    monkeypatch.delattr(dg, "StateBackedComponent", raising=False)
    monkeypatch.delitem(vars(package), "SqlmeshProjectComponent", raising=False)
    monkeypatch.delitem(
        sys.modules, "pytest_sqlmesh_tracker.dagster.component.component", raising=False
    )


@pytest.mark.usefixtures("old_dagster")
def test_using_the_component_raises_an_error_with_the_required_version() -> None:
    with pytest.raises(ImportError) as raised:
        from pytest_sqlmesh_tracker.dagster import SqlmeshProjectComponent  # noqa: F401
    assert str(raised.value) == (
        "SqlmeshProjectComponent requires Dagster 1.12 or newer: 1.10.18 has no state-backed "
        "components"
    )


@pytest.mark.usefixtures("old_dagster")
def test_dg_lists_no_component_and_all_other_names_exist() -> None:
    scope = {"__name__": "dagster.components.core.package_entry", "package": package}
    assert "SqlmeshProjectComponent" not in eval("dir(package)", scope)
    assert {getattr(package, name).__name__ for name in package.__all__} == set(package.__all__)

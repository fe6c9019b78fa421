"""Properties of tests in the JUnit XML file that pytest writes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from .shops import write_reported_shop

HOSTILE = r"""
from types import SimpleNamespace
from tests.builders import executed, run

def test_hostile(sqlmesh_tracker):
    name = 'shop."<b>&' + "'\x00\x1b[2J\x9b ]]>" + '"'
    sqlmesh_tracker._tracked.append(SimpleNamespace(report=run(executed(name))))

def test_night(night):
    pass

def test_no_invocation(sqlmesh_tracker):
    pass

def test_untracked():
    pass
"""


@pytest.fixture
def reported_shop(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with the fixture `night`, without a project."""
    write_reported_shop(pytester)
    return pytester


def test_tracked_tests_have_properties(reported_shop: pytest.Pytester) -> None:
    reported_shop.makepyfile(HOSTILE)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "--junitxml=all.xml")
    result.assert_outcomes(passed=4)
    properties = {
        case.get("name"): [(each.get("name"), each.get("value")) for each in case.iter("property")]
        for case in ElementTree.parse(reported_shop.path / "all.xml").iter("testcase")
    }
    assert properties == {
        "test_hostile": [
            ("sqlmesh_invocations", "1"),
            ("sqlmesh_executed", 'shop."<b>&\'��[2J� ]]>"'),
        ],
        "test_night": [
            ("sqlmesh_invocations", "1"),
            ("sqlmesh_failed", "shop.orders (error)"),
            ("sqlmesh_skipped", "shop.revenue (upstream_failed)"),
        ],
        "test_no_invocation": [("sqlmesh_invocations", "0")],
        "test_untracked": [],
    }


@pytest.mark.parametrize("options", [[], ["-p", "no:junitxml"]], ids=["", "no:junitxml"])
def test_properties_are_written_only_on_request(
    reported_shop: pytest.Pytester, options: list[str]
) -> None:
    reported_shop.makepyfile(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport():
            report = yield
            assert report.user_properties == []
            return report
        """
    )
    reported_shop.makepyfile(test_it="def test_it(night):\n    pass")
    reported_shop.runpytest_inprocess("-p", "no:xdist", *options).assert_outcomes(passed=1)

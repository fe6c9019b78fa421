"""freezegun alongside the package: when modules are imported, and which timers keep running."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timezone

import freezegun
import pytest

from pytest_sqlmesh_tracker.process import frozen


def in_a_fresh_python(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    return ran.stdout


def test_the_clock_is_frozen_until_freezegun_stops() -> None:
    assert not frozen.is_frozen()
    with freezegun.freeze_time("2024-01-20"):
        assert frozen.is_frozen()
    assert not frozen.is_frozen()


def test_timers_keep_running_under_a_frozen_clock() -> None:
    real = datetime.now(timezone.utc)
    with freezegun.freeze_time("2024-01-20"):
        began = frozen.perf_counter()
        time.sleep(0.01)
        assert frozen.perf_counter() - began >= 0.01
        assert frozen.utc_now() >= real
        assert time.perf_counter() == time.perf_counter()


def test_imported_modules_are_available_under_a_frozen_clock() -> None:
    import pytest_sqlmesh_tracker.models.index

    with freezegun.freeze_time("2024-01-20"):
        frozen.check_imported("pytest_sqlmesh_tracker.models.index")
        assert frozen.import_lazily(".models.index", "pytest_sqlmesh_tracker") is (
            pytest_sqlmesh_tracker.models.index
        )


def test_a_first_import_under_a_frozen_clock_is_rejected_and_succeeds_afterwards() -> None:
    code = """
import datetime, sys
from freezegun import freeze_time
with freeze_time("2024-01-20"):
    try:
        from pytest_sqlmesh_tracker import GatePolicy
    except ImportError as error:
        print(error)
assert "pydantic" not in sys.modules
from pytest_sqlmesh_tracker import GatePolicy
until = datetime.date(2030, 1, 1)
GatePolicy(rules=[{"models": "a.*", "allow": ["signal_not_ready"], "until": until}])
print("and then it works")
"""
    assert in_a_fresh_python(code) == (
        "pytest_sqlmesh_tracker.gate can't be imported for the first time while freezegun has "
        "frozen the clock, because freezegun's dates would stay in it until the process ends; "
        "import it before the clock is frozen, such as at the top of conftest.py\n"
        "and then it works\n"
    )


def test_tracking_under_a_frozen_clock_before_sqlmesh_is_imported_is_rejected() -> None:
    code = """
import sys
from freezegun import freeze_time
from pytest_sqlmesh_tracker import track_all
with freeze_time("2024-01-20"):
    try:
        with track_all():
            pass
    except ImportError as error:
        print(error)
print("sqlmesh" in sys.modules)
"""
    message, imported = in_a_fresh_python(code).splitlines()
    assert message.startswith("sqlmesh.core.context can't be imported for the first time while")
    assert imported == "False"


@pytest.mark.parametrize(
    ("before", "imported"),
    [
        ("", False),
        ("import freezegun", True),
        ("import freezegun; freezegun.freeze_time('2024-01-20').start()", False),
    ],
    ids=["without freezegun", "with freezegun", "while the clock is frozen"],
)
@pytest.mark.processes
def test_modules_are_imported_early_if_freezegun_is_used(before: str, imported: bool) -> None:
    code = f"""
import sys
{before}
from pytest_sqlmesh_tracker.pytest_plugin.first_imports import import_for_tracked_tests
import_for_tracked_tests()
print({{"pandas", "sqlmesh.core.context", "pytest_sqlmesh_tracker.gate"}} <= sys.modules.keys())
"""
    assert in_a_fresh_python(code) == f"{imported}\n"

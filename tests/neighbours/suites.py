"""A small test suite for each neighbour, which uses what the neighbour is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Neighbour:
    """A plugin or tool installed alongside the package, and a suite that uses it."""

    name: str
    """The distribution; a tool of Python or pytest itself has no version."""
    suite: str
    """The text of `test_suite.py`, in which one test fails: its report is compared as well."""
    plugins: tuple[str, ...] = ()
    """Entry points of pytest plugins."""
    options: tuple[str, ...] = ()
    """What pytest is called with."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files of the suite."""


_FAILING = """

def test_that_fails():
    assert [1, 2] == [1, 3]
"""

FREEZEGUN = Neighbour(
    "freezegun",
    """
import datetime

from freezegun import freeze_time


@freeze_time("2024-01-20")
def test_decorated():
    assert datetime.date.today() == datetime.date(2024, 1, 20)


def test_moved():
    with freeze_time("2024-01-20") as frozen:
        frozen.tick(datetime.timedelta(days=1))
        assert datetime.datetime.now() == datetime.datetime(2024, 1, 21)


def test_time_is_back():
    assert datetime.date.today().year > 2024
""",
)
MOCK = Neighbour(
    "pytest-mock",
    """
import os


def test_patched(mocker):
    mocker.patch("os.getcwd", return_value="/shop")
    assert os.getcwd() == "/shop"


def test_every_module_can_be_specified(mocker):
    import sys

    for module in [m for name, m in sys.modules.items() if name.startswith("pytest_sqlmesh")]:
        mocker.create_autospec(module)


def test_spied(mocker):
    spy = mocker.spy(os.path, "basename")
    assert os.path.basename("a/b") == "b"
    spy.assert_called_once_with("a/b")
""",
    plugins=("pytest_mock",),
)
RERUNS = Neighbour(
    "pytest-rerunfailures",
    """
import pytest

tries = []


@pytest.mark.flaky(reruns=2)
def test_passes_the_third_time():
    tries.append(1)
    assert len(tries) == 3
""",
    plugins=("rerunfailures",),
    options=("--reruns=1",),
)
HYPOTHESIS = Neighbour(
    "hypothesis",
    """
from hypothesis import given, seed, settings, strategies as st


@settings(database=None, max_examples=20)
@given(st.lists(st.integers()))
def test_drawn(numbers):
    assert sorted(numbers) == sorted(reversed(numbers))


@seed(1)
@settings(database=None)
@given(st.datetimes())
def test_drawn_times(moment):
    assert moment.year < 2100
""",
    plugins=("hypothesispytest",),
)
DOCTEST = Neighbour(
    "doctest",
    "",
    options=("--doctest-modules",),
    files={
        "shop.py": '''
from unittest.mock import call

import pytest_sqlmesh_tracker


def total(prices):
    """The total.

    >>> total([1, 2])
    3
    >>> total([])
    1
    """
    return sum(prices)
'''
    },
)

CHEAP = (FREEZEGUN, MOCK, RERUNS, HYPOTHESIS, DOCTEST)
"""Those that the ordinary tests play: they need few packages, and seconds."""

_TYPED = {
    "shop.py": """
def total(prices: list[int]) -> int:
    return sum(prices) if prices else "nothing"
"""
}
_USES_TYPED = """
import pytest
import shop


def test_typed():
    assert shop.total([1, 2]) == 3


def test_wrong_type():
    shop.total([])
"""

OTHERS = (
    Neighbour(
        "pytest-freezer",
        """
import datetime

import pytest


def test_moved(freezer):
    freezer.move_to("2024-01-20")
    assert datetime.date.today() == datetime.date(2024, 1, 20)


@pytest.mark.freeze_time("2024-01-21")
def test_marked():
    assert datetime.date.today() == datetime.date(2024, 1, 21)


def test_time_is_back():
    assert datetime.date.today().year > 2024
""",
        plugins=("freezer",),
    ),
    Neighbour(
        "pyfakefs",
        """
import os
from pathlib import Path


def test_no_such_folder(fs):
    assert not Path(__file__).exists()
    fs.create_file("/shop/orders.csv", contents="1")
    assert os.listdir("/shop") == ["orders.csv"]
    assert Path("/shop/orders.csv").read_text() == "1"


def test_real_files_are_back():
    assert Path(__file__).exists()
""",
        plugins=("fakefs",),
    ),
    Neighbour(
        "pytest-asyncio",
        """
import asyncio

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def price():
    await asyncio.sleep(0)
    yield 3


@pytest.mark.asyncio
async def test_awaited(price):
    assert price == 3


async def test_automatic():
    await asyncio.sleep(0)
""",
        plugins=("asyncio",),
        options=("--asyncio-mode=auto",),
    ),
    Neighbour(
        "anyio",
        """
import anyio
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def price():
    await anyio.sleep(0)
    yield 3


@pytest.mark.anyio
async def test_awaited(price):
    assert price == 3
""",
        plugins=("anyio",),
    ),
    Neighbour(
        "pytest-cov",
        _USES_TYPED,
        plugins=("pytest_cov",),
        options=("--cov=shop", "--cov-report=term-missing", "--cov-fail-under=10"),
        files=_TYPED,
    ),
    Neighbour(
        "pytest-randomly",
        """
import random


def test_seeded():
    assert random.randint(1, 10**9) != random.randint(1, 10**9)


def test_a():
    pass


def test_b():
    pass
""",
        plugins=("randomly",),
        options=("--randomly-seed=7",),
    ),
    Neighbour(
        "pytest-timeout",
        """
import time

import pytest


@pytest.mark.timeout(0.2)
def test_too_slow():
    time.sleep(5)


@pytest.mark.timeout(5)
def test_in_time():
    pass
""",
        plugins=("timeout",),
    ),
    Neighbour(
        "pytest-benchmark",
        """
def test_measured(benchmark):
    assert benchmark.pedantic(sum, args=([1, 2],), rounds=5) == 3
""",
        plugins=("benchmark",),
    ),
    Neighbour(
        "pytest-bdd",
        """
from pytest_bdd import given, scenarios, then

scenarios("shop.feature")


@given("an order", target_fixture="orders")
def orders():
    return [1]


@then("it is shipped")
def shipped(orders):
    assert orders == [1]


@then("it is lost")
def lost(orders):
    assert orders == []
""",
        plugins=("pytest-bdd",),
        files={
            "shop.feature": """Feature: shop
  Scenario: shipped
    Given an order
    Then it is shipped

  Scenario: lost
    Given an order
    Then it is lost
"""
        },
    ),
    Neighbour(
        "pytest-django",
        """
import pytest


@pytest.mark.django_db
def test_database():
    from django.contrib.auth.models import User

    User.objects.create(username="ann")
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_rolled_back():
    from django.contrib.auth.models import User

    assert User.objects.count() == 0


def test_no_database():
    from django.contrib.auth.models import User

    User.objects.count()


def test_settings(settings):
    settings.SHOP = "ours"
    from django.conf import settings as current

    assert current.SHOP == "ours"
""",
        plugins=("django",),
        options=("--ds=shop_settings",),
        files={
            "shop_settings.py": """
SECRET_KEY = "test"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
        },
    ),
    Neighbour("pytest-sugar", _FAILING, plugins=("sugar",)),
    Neighbour(
        "pytest-html",
        """
import os


def teardown_module():
    print("written at the end")
""",
        plugins=("html", "metadata"),
        options=("--html=report.html", "--self-contained-html"),
    ),
    Neighbour(
        "pytest-subtests",
        """
import unittest


def test_subtests(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number != 1


class TestCase(unittest.TestCase):
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)
""",
        plugins=("subtests",),
    ),
    Neighbour(
        "syrupy",
        """
def test_snapshot(snapshot):
    assert {"orders": [1, 2]} == snapshot


def test_wrong_snapshot(snapshot):
    assert 2 == snapshot
""",
        plugins=("syrupy",),
        files={
            "__snapshots__/test_suite.ambr": """# serializer version: 1
# name: test_snapshot
  dict({
    'orders': list([
      1,
      2,
    ]),
  })
# ---
# name: test_wrong_snapshot
  1
# ---
# name: test_unused
  1
# ---
"""
        },
    ),
    Neighbour(
        "typeguard",
        _USES_TYPED,
        plugins=("typeguard",),
        options=("--typeguard-packages=shop",),
        files=_TYPED,
    ),
    Neighbour(
        "beartype",
        _USES_TYPED,
        files={
            **_TYPED,
            "hooks.py": 'from beartype.claw import beartype_package\n\nbeartype_package("shop")\n',
        },
        options=("-p", "hooks"),
    ),
)

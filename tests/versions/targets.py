"""The combinations of versions that are tried, and with which tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

NEWEST = "newest"
# As in `make test`: what it leaves out takes long, or depends little on versions.
SELECTION = "not (documents or long or nightly or processes or variants)"
# Where a single combination is requested, as in CI: what depends most on SQLMesh's version.
SHORT = (
    "tests/tracking/events",
    "tests/tracking/reasons",
    "tests/tracking/test_compat.py",
    "tests/tracking/test_tracker.py",
    "tests/doctor/test_sqlmesh_contract.py",
)
ASSETS = ("tests/dagster",)
PROCESSES = ("tests/dagster_processes", "tests/dagster_distributed")
PLUGIN = ("tests/pytest_plugin", "tests/sandbox")
MOST = ("tests/tracking", "tests/doctor", "tests/cli", "tests/forecast", *PLUGIN, *ASSETS)
EVERYTHING = (
    "tests/forecast",
    "tests/tracking",
    "tests/doctor",
    "tests/history",
    "tests/properties",
    # These know no SQLMesh, but other versions of Python.
    "tests/outcomes",
    "tests/models",
    "tests/wording",
    "tests/reports",
    "tests/gate",
    "tests/render",
    "tests/cli",
    "tests/dbt",
    *PLUGIN,
    *ASSETS,
    *PROCESSES,
)
# Older SQLMesh releases set no upper bounds here, and do not run with what came later.
OLD = ("duckdb<2", "pandas<3")
# The lower bounds of this package's requirements, except those that the tests' own tools exceed.
LOWEST = (
    "click==8.1.0",
    "croniter==2.0.0",
    "duckdb==1.0.0",
    "numpy<2",
    "packaging==22.0",
    "pydantic==2.7.0",
    "time-machine==3.0.0",
    "pandas<3",
)


@dataclass(frozen=True)
class Target:
    """One combination.

    Attributes:
        name: what the command line calls it.
        what: what is tested, in words.
        sqlmesh: a version, or `newest`, as for `dagster` and `pytest`.
        python: the version of the interpreter.
        pins: what else is installed, and of which version.
    """

    name: str
    what: str
    tests: tuple[str, ...]
    sqlmesh: str = NEWEST
    dagster: str = NEWEST
    pytest: str = NEWEST
    python: str = "3.11"
    pins: tuple[str, ...] = ()

    @property
    def requirements(self) -> list[str]:
        """What pip installs beside the package itself."""
        versions = {"sqlmesh": self.sqlmesh, "dagster": self.dagster, "pytest": self.pytest}
        return [
            *(name if each == NEWEST else f"{name}=={each}" for name, each in versions.items()),
            *self.pins,
        ]

    @property
    def is_moving(self) -> bool:
        """Whether another day can bring other versions."""
        return NEWEST in (self.sqlmesh, self.dagster, self.pytest)

    def shortened(self) -> Target:
        """The same combination with the tests that CI can afford."""
        return replace(self, tests=SHORT) if self.tests in (EVERYTHING, MOST) else self


OLDEST, OLDEST_DAGSTER, OLDEST_PYTEST = "0.206.0", "1.10.18", "8.0.2"
_MOST = "the tracker, forecasts, sandboxes, the command line, the assets"
TARGETS = (
    # The ends of what is supported.
    Target("oldest", "everything", EVERYTHING, OLDEST, OLDEST_DAGSTER, python="3.10", pins=LOWEST),
    Target("newest", "everything", EVERYTHING, python="3.13"),
    # The first with the parameters that console methods have to this day, and one with sqlglot 27.
    Target("0.211.2", _MOST, MOST, "0.211.2", pins=OLD),
    Target("0.228.5", _MOST, MOST, "0.228.5", pins=OLD),
    Target("oldest-sqlmesh", "the assets", ASSETS, OLDEST, python="3.10", pins=OLD),
    Target("oldest-dagster", "the assets", ASSETS, dagster=OLDEST_DAGSTER, python="3.12"),
    Target("oldest-pytest", "the plugin, sandboxes", PLUGIN, pytest=OLDEST_PYTEST, python="3.12"),
)

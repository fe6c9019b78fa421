"""Packages that only a part of this one needs, and the extras that install them."""

from __future__ import annotations

from importlib.util import find_spec


def is_installed(package: str) -> bool:
    """Whether a package is installed. It is not imported."""
    return find_spec(package) is not None


def required(part: str, package: str, extra: str) -> str:
    """What to install for a part of this package: `check requires Hypothesis: pip install …`."""
    return f"{part} requires {package}: pip install 'pytest-sqlmesh-tracker[{extra}]'"

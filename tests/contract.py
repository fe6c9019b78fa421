"""To hold the SQLMesh that is installed to what the tracker relies on.

What that is, the package declares (`doctor/contract.py` collects it), except for what is only seen
in runs. The tests: `doctor/test_sqlmesh_contract.py`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from importlib.metadata import version
from inspect import signature
from typing import Any

import pytest

from pytest_sqlmesh_tracker.doctor import contract
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS
from pytest_sqlmesh_tracker.tracking.reliance import fields_of, reliance_of


def demand(holds: object, what: str, concern: str) -> None:
    """Fail with what SQLMesh changed, and what it concerns, unless it holds."""
    __tracebackhide__ = True
    if not holds:
        pytest.fail(f"SQLMesh {version('sqlmesh')}: {what} changed; this affects {concern}")


def resolved(path: str, concern: str) -> Any:
    """An object of SQLMesh, by `module:name.name` below `sqlmesh`."""
    __tracebackhide__ = True
    try:
        return contract.resolve(path)
    except LookupError as error:
        demand(False, f"{path} ({error})", concern)
        raise


def has_fields(thing: Any, protocol: type) -> None:
    """Demand that an object of SQLMesh has the fields that the tracker reads of it."""
    __tracebackhide__ = True
    label, concern = protocol.__name__, reliance_of(protocol).concern
    for name in fields_of(protocol):
        value = thing
        for part in name.split("."):
            demand(hasattr(value, part), f"a {label} (no {name!r})", concern)
            value = getattr(value, part)


def short(name: str) -> str:
    """The name of a model of the test project, as the test writes it."""
    return name.replace('"', "").removeprefix("wh.s.")


@dataclass
class RecordedCall:
    """One call, as it was made."""

    event: str
    arguments: dict[str, Any]
    thread: int = field(default_factory=threading.get_ident)
    handled: BaseException | None = field(default_factory=lambda: sys.exc_info()[1])

    @property
    def model(self) -> str:
        """The short name of the snapshot that was passed."""
        return short(self.arguments["snapshot"].name)


class Recorder:
    """A console that records every call that the tracker handles, and passes all calls on."""

    def __init__(self, console: Any, calls: list[RecordedCall]) -> None:
        self._console, self._calls = console, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._console, name)
        if name not in CONSOLE_EVENTS:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls.append(RecordedCall(name, compat.by_name(name, args, kwargs)))
            return method(*args, **kwargs)

        return call


def tap(owner: Any, name: str, calls: list[RecordedCall]) -> None:
    """Record the calls of one object's method with their results, as the tracker does."""
    if name in vars(owner):
        return
    method = getattr(owner, name)

    def tapped(*args: Any, **kwargs: Any) -> Any:
        arguments = dict(signature(method).bind(*args, **kwargs).arguments)
        arguments.update(arguments.pop("kwargs", {}))
        call = RecordedCall(name, arguments)
        calls.append(call)
        call.arguments["result"] = method(*args, **kwargs)
        return call.arguments["result"]

    setattr(owner, name, tapped)

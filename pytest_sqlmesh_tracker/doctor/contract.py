"""Compares what the tracker relies on in SQLMesh with the installed SQLMesh.

The tracker declares what it relies on where it handles, reads or calls it (`tracking.reliance`).
The tracker's imports and calls of SQLMesh are read from its source.

SQLMesh is not imported before a function is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import Parameter, signature, unwrap
from typing import Any

from packaging.version import Version

from pytest_sqlmesh_tracker.tracking import compat, switchboard
from pytest_sqlmesh_tracker.tracking.errors import steps
from pytest_sqlmesh_tracker.tracking.events import facts
from pytest_sqlmesh_tracker.tracking.events.auditing import AUDIT_EVENTS
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS
from pytest_sqlmesh_tracker.tracking.events.taps import METHOD_EVENTS
from pytest_sqlmesh_tracker.tracking.reliance import Reliance, methods_of, reliance_of
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import PARTS

from .calls import Call, calls_of_sqlmesh


@dataclass(frozen=True)
class ContractChange:
    """A part of SQLMesh that differs from what the tracker expects."""

    name: str
    what: str
    concern: str


NOT_HANDLED = {"start_signal_progress", "stop_signal_progress", "stop_plan_evaluation"}
"""The console's methods that give the tracker nothing that other methods do not give it."""
_OF_EVALUATION = re.compile("evaluat|audit|signal|skip|fail|interrupt|cancel")


def resolve(path: str) -> Any:
    """The object of SQLMesh at a path `module:name.name` below `sqlmesh`.

    Raises:
        LookupError: the object does not exist; the message says what is missing.
    """
    module, _, names = path.partition(":")
    try:
        thing: Any = import_module(f"sqlmesh.{module}")
    except ImportError as error:
        raise LookupError(f"can't be imported: {error}") from error
    for name in filter(None, names.split(".")):
        if not hasattr(thing, name):
            raise LookupError(f"does not exist (no {name!r})")
        thing = getattr(thing, name)
    return thing


def changes_of_console() -> Iterator[ContractChange]:
    """The console's methods and parameters that the tracker reads and SQLMesh lacks."""
    in_terminal = _own("core.console:TerminalConsole")
    for event, reliance in CONSOLE_EVENTS.items():
        check = partial(_mismatch, reliance)
        yield from _changes(reliance.path, reliance.concern, check)
        if event in in_terminal:
            path = f"core.console:TerminalConsole.{event}"
            yield from _changes(path, reliance.concern, check)


def news_of_console() -> Iterator[ContractChange]:
    """The installed SQLMesh's console methods and parameters that the tracker does not know."""
    console = _own("core.console:Console")
    for event, reliance in CONSOLE_EVENTS.items():
        known = {"self", *reliance.parameters}
        new = [name for name in _parameters(console.get(event)) if name not in known]
        if new:
            what = f"has new parameters: {', '.join(new)}"
            yield ContractChange(f"Console.{event}", what, reliance.concern)
    for name in sorted(console.keys() - CONSOLE_EVENTS.keys() - NOT_HANDLED):
        if _OF_EVALUATION.search(name) and not name.startswith("_"):
            concern = "every report, if it replaces another method"
            yield ContractChange(f"Console.{name}", "is new and not handled", concern)


def changes_elsewhere() -> Iterator[ContractChange]:
    """What else the tracker handles, calls, replaces or imports and finds changed."""
    # An object can be declared and called in several places; each change of it is one line.
    changes = {(change.name, change.what): change for change in reversed([*_elsewhere()])}
    yield from reversed(changes.values())


def _elsewhere() -> Iterator[ContractChange]:
    installed = Version(import_module("sqlmesh").__version__)
    for reliance in declared():
        if reliance.since is None or installed >= Version(reliance.since):
            yield from _changes(reliance.path, reliance.concern, partial(_mismatch, reliance))
    for call in calls_of_sqlmesh():
        yield from _changes(call.path, call.concern, partial(_uncallable_as, call))
    for reliance in switchboard.REPLACED:
        if reliance.name not in _own(reliance.path.rpartition(".")[0]):
            concern = "all tracking: the switchboard replaces it in the class"
            yield ContractChange(
                reliance.path.partition(":")[2], "is not defined in the class", concern
            )


def declared() -> Iterator[Reliance]:
    """What the tracker declares that it relies on, except for its console's events."""
    yield from METHOD_EVENTS.values()
    yield from AUDIT_EVENTS.values()
    yield from switchboard.REPLACED
    for module in (switchboard, steps, facts, compat):
        yield from module.RELIES_ON
    for protocol in PARTS:
        yield reliance_of(protocol)
        yield from methods_of(protocol)


def _changes(path: str, concern: str, check: Callable[[Any], str]) -> Iterator[ContractChange]:
    try:
        what = check(resolve(path))
    except LookupError as error:
        what = str(error)
    if what:
        yield ContractChange(path.partition(":")[2], what, concern)


def _mismatch(reliance: Reliance, thing: Any) -> str:
    """How an object differs from its declaration; empty if it does not."""
    if reliance.positional is not None:
        return _uncallable(thing, reliance.positional, reliance.reads)
    if reliance.variables:
        variables = unwrap(thing).__code__
        return _lacking(
            "variable", reliance.variables, variables.co_varnames, variables.co_cellvars
        )
    if reliance.reads:
        has = _parameters(thing)
        return "" if "**" in has else _lacking("parameter", reliance.reads, has)
    return ""


def _lacking(kind: str, names: Iterable[str], *has: tuple[str, ...]) -> str:
    lacks = [name for name in names if not any(name in each for each in has)]
    return f"has no {kind} {', '.join(lacks)}" if lacks else ""


def _uncallable_as(call: Call, thing: Any) -> str:
    """Why an object can't be called in this way; empty if it can, or is not called."""
    return "" if call.positional is None else _uncallable(thing, call.positional, call.keywords)


def _uncallable(function: Any, positional: int, keywords: Iterable[str]) -> str:
    try:
        parameters = signature(function)
    except ValueError:
        # It is not written in Python.
        return ""
    try:
        parameters.bind(*range(positional), **dict.fromkeys(keywords))
    except TypeError as error:
        return f"can't be called with {positional} arguments: {error}"
    return ""


def _parameters(method: Any) -> tuple[str, ...]:
    """The names of a method's parameters; `**` if it takes any keyword."""
    parameters = signature(method).parameters.values() if method else ()
    return tuple("**" if p.kind is Parameter.VAR_KEYWORD else p.name for p in parameters)


def _own(path: str) -> dict[str, Any]:
    """The attributes that a class itself defines; empty if the class does not exist."""
    try:
        return dict(vars(resolve(path)))
    except LookupError:
        return {}

"""Histories that the short selection always has Dagster told of: what it would draw too rarely."""

from __future__ import annotations

from datetime import timedelta

from .dagster_changes import removed, renamed
from .dagster_drawing import Asking, Between, Told
from .scenes import _BATCHES, _CHAIN, _DAY, _FIRST, _HOUR, _NINE
from .specs import Edit, History, Injected, Model, Step

_AUDITED = (
    Model("m.a0", "full", audits=("hard", "soft"), twice=True),
    Model("m.a1", "full", parents=("m.a0",), audits=("soft",)),
    Model("sa0", "audit", ("m.a1",)),
)
_ALL = Asking()
_AGAIN = Asking(retries=True)

RETRIED = Told(
    History(_CHAIN, _NINE, (_FIRST, Step(_DAY, "run", injected=(Injected("m.a1", times=1),)))),
    (_ALL, _AGAIN),
)
RESTATED_AND_RETRIED = Told(
    History(
        _BATCHES,
        _NINE,
        (
            _FIRST,
            Step(
                _HOUR,
                "plan",
                arguments={"restate_models": ["m.a0"]},
                injected=(Injected("m.a0", batch=1, times=1),),
            ),
        ),
    ),
    (_ALL, Asking(configured=True, retries=True)),
)
STILL_MISSING = Told(
    History(
        _CHAIN,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "run", switches=(("broken", "m.a1"),)),
            Step(_HOUR, "run", arguments={"select_models": ["m.a0"]}),
            Step(_HOUR, "run", arguments={"end": "2024-01-10"}),
            Step(_HOUR, "run"),
        ),
    ),
    (_ALL,) * 5,
)
FAILED_BEFORE_IT_WAS_DUE = Told(
    History(
        (Model("m.a0", "full", cron="@weekly"), Model("m.a1", "full")),
        _NINE,
        (
            _FIRST,
            Step(
                _DAY,
                "run",
                arguments={"ignore_cron": True},
                switches=(("broken", "m.a0"),),
            ),
            Step(_HOUR, "run"),
        ),
    ),
    (_ALL,) * 3,
)
UPSTREAM_OF_WHAT_IS_SELECTED = Told(
    History(
        _CHAIN,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "run", arguments={"no_auto_upstream": False}),
            Step(_DAY, "run"),
        ),
    ),
    (_ALL, Asking(selection=("m.a2",)), Asking(selection=("m.a0", "m.a2"), checks="status")),
)
AUDITED_TWICE = Told(
    History(
        _AUDITED,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "run", switches=(("soft", "m.a0.again"), ("fails", "sa0"))),
            Step(_DAY, "run", switches=(("hard", "m.a0.again"), ("soft", "m.a1"))),
            Step(timedelta(minutes=10), "run"),
        ),
    ),
    (_ALL, _ALL, _AGAIN, Asking(checks="audits")),
)
BLOCKED_BEFORE_A_LATER_STAGE = Told(
    History(
        (
            Model("m.a0", "full", audits=("hard",)),
            Model("m.a1", "incremental", parents=("m.a0",), forward_only=True),
        ),
        _NINE,
        (Step(timedelta(), "plan", switches=(("hard", "m.a0"),)),),
    ),
    (_AGAIN,),
)

_REMOVED = removed(_CHAIN, _CHAIN[2])
_RENAMED = renamed(_CHAIN, _CHAIN[1])
_NEW = Model("m.b0", "full", parents=("m.a0",))
_OLD_ASSETS = Asking(deployed=False)

GONE = Told(
    History(
        _CHAIN,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "run", edits=_REMOVED.edits),
            Step(_HOUR, "plan"),
            Step(_DAY, "run"),
            Step(_DAY, "run"),
        ),
    ),
    (
        _ALL,
        Asking(deployed=False, selection=("m.a1", "m.a2")),
        _OLD_ASSETS,
        Asking(deployed=False, selection=("m.a2",)),
        _OLD_ASSETS,
    ),
)
"""From the files alone at first, then by a plan."""
RENAMED = Told(
    History(
        _CHAIN,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "plan", edits=_RENAMED.edits),
            Step(_DAY, "run"),
            Step(_DAY, "run", edits=(*_RENAMED.undone, Edit("added", _NEW))),
        ),
    ),
    (_ALL, _OLD_ASSETS, Asking(deployed=False, selection=("m.a0", "m.a1")), _ALL),
)
"""By a plan, and back in the files alone."""
_FORK = (
    Model("m.a0", "full"),
    Model("m.a1", "full", parents=("m.a0",)),
    Model("m.a2", "full", parents=("m.a0",)),
    Model("m.a3", "full", parents=("m.a1", "m.a2")),
)
_BETWEEN = (Between("x.f0", ("m.a1",), ("m.a2",)),)
_SPLIT = Asking(between=_BETWEEN)
SPLIT = Told(
    History(
        _FORK,
        _NINE,
        (
            _FIRST,
            Step(_DAY, "run"),
            Step(_DAY, "run"),
            Step(_DAY, "run"),
            Step(_DAY, "run", switches=(("broken", "m.a1"),)),
        ),
    ),
    (
        _ALL,
        _SPLIT,
        Asking(between=_BETWEEN, due="all"),
        Asking(between=_BETWEEN, due="due"),
        _SPLIT,
    ),
)
"""What is below the asset between them is due as well, and waits for it."""

"""Scenes that are played through Dagster: what once showed a fault, or is drawn too rarely.

Every history of this module is a test of its own, by its name.
"""

from __future__ import annotations

from datetime import timedelta

from tests.properties.drawing.scenes import BATCHES, CHAIN, DAY, FIRST_PLAN, HOUR, NINE
from tests.properties.drawing.specs import Edit, History, Injected, Model, Step

from .changes import removed, renamed
from .requests import Between, DagsterHistory, DagsterRequest

_AUDITED = (
    Model("m.a0", "full", audits=("hard", "soft"), twice=True),
    Model("m.a1", "full", parents=("m.a0",), audits=("soft",)),
    Model("sa0", "audit", ("m.a1",)),
)
_ALL = DagsterRequest()
_AGAIN = DagsterRequest(retries=True)

RETRIED = DagsterHistory(
    History(CHAIN, NINE, (FIRST_PLAN, Step(DAY, "run", injected=(Injected("m.a1", times=1),)))),
    (_ALL, _AGAIN),
)
RESTATED_AND_RETRIED = DagsterHistory(
    History(
        BATCHES,
        NINE,
        (
            FIRST_PLAN,
            Step(
                HOUR,
                "plan",
                arguments={"restate_models": ["m.a0"]},
                injected=(Injected("m.a0", batch=1, times=1),),
            ),
        ),
    ),
    (_ALL, DagsterRequest(configured=True, retries=True)),
)
STILL_MISSING = DagsterHistory(
    History(
        CHAIN,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "run", switches=(("broken", "m.a1"),)),
            Step(HOUR, "run", arguments={"select_models": ["m.a0"]}),
            Step(HOUR, "run", arguments={"end": "2024-01-10"}),
            Step(HOUR, "run"),
        ),
    ),
    (_ALL,) * 5,
)
FAILED_BEFORE_IT_WAS_DUE = DagsterHistory(
    History(
        (Model("m.a0", "full", cron="@weekly"), Model("m.a1", "full")),
        NINE,
        (
            FIRST_PLAN,
            Step(
                DAY,
                "run",
                arguments={"ignore_cron": True},
                switches=(("broken", "m.a0"),),
            ),
            Step(HOUR, "run"),
        ),
    ),
    (_ALL,) * 3,
)
UPSTREAM_OF_WHAT_IS_SELECTED = DagsterHistory(
    History(
        CHAIN,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "run", arguments={"no_auto_upstream": False}),
            Step(DAY, "run"),
        ),
    ),
    (
        _ALL,
        DagsterRequest(selection=("m.a2",)),
        DagsterRequest(selection=("m.a0", "m.a2"), checks="status"),
    ),
)
AUDITED_TWICE = DagsterHistory(
    History(
        _AUDITED,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "run", switches=(("soft", "m.a0.again"), ("fails", "sa0"))),
            Step(DAY, "run", switches=(("hard", "m.a0.again"), ("soft", "m.a1"))),
            Step(timedelta(minutes=10), "run"),
        ),
    ),
    (_ALL, _ALL, _AGAIN, DagsterRequest(checks="audits")),
)
BLOCKED_BEFORE_A_LATER_STAGE = DagsterHistory(
    History(
        (
            Model("m.a0", "full", audits=("hard",)),
            Model("m.a1", "incremental", parents=("m.a0",), forward_only=True),
        ),
        NINE,
        (Step(timedelta(), "plan", switches=(("hard", "m.a0"),)),),
    ),
    (_AGAIN,),
)

_REMOVED = removed(CHAIN, CHAIN[2])
_RENAMED = renamed(CHAIN, CHAIN[1])
_NEW = Model("m.b0", "full", parents=("m.a0",))
_OLD_ASSETS = DagsterRequest(deployed=False)

GONE = DagsterHistory(
    History(
        CHAIN,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "run", edits=_REMOVED.edits),
            Step(HOUR, "plan"),
            Step(DAY, "run"),
            Step(DAY, "run"),
        ),
    ),
    (
        _ALL,
        DagsterRequest(deployed=False, selection=("m.a1", "m.a2")),
        _OLD_ASSETS,
        DagsterRequest(deployed=False, selection=("m.a2",)),
        _OLD_ASSETS,
    ),
)
"""From the files alone at first, then by a plan."""
RENAMED = DagsterHistory(
    History(
        CHAIN,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "plan", edits=_RENAMED.edits),
            Step(DAY, "run"),
            Step(DAY, "run", edits=(*_RENAMED.undone, Edit("added", _NEW))),
        ),
    ),
    (_ALL, _OLD_ASSETS, DagsterRequest(deployed=False, selection=("m.a0", "m.a1")), _ALL),
)
"""By a plan, and back in the files alone."""
_FORK = (
    Model("m.a0", "full"),
    Model("m.a1", "full", parents=("m.a0",)),
    Model("m.a2", "full", parents=("m.a0",)),
    Model("m.a3", "full", parents=("m.a1", "m.a2")),
)
_BETWEEN = (Between("x.f0", ("m.a1",), ("m.a2",)),)
_SPLIT = DagsterRequest(between=_BETWEEN)
SPLIT = DagsterHistory(
    History(
        _FORK,
        NINE,
        (
            FIRST_PLAN,
            Step(DAY, "run"),
            Step(DAY, "run"),
            Step(DAY, "run"),
            Step(DAY, "run", switches=(("broken", "m.a1"),)),
        ),
    ),
    (
        _ALL,
        _SPLIT,
        DagsterRequest(between=_BETWEEN, due="all"),
        DagsterRequest(between=_BETWEEN, due="due"),
        _SPLIT,
    ),
)
"""What is below the asset between them is due as well, and waits for it."""

SCENES = {
    name.lower(): value for name, value in vars().items() if isinstance(value, DagsterHistory)
}

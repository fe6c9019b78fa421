"""Scenes: fixed histories that once showed a fault, or that are drawn too rarely.

Every history of this module is a separate test, named after it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .specs import Edit, History, Injected, Model, Step

NINE = datetime(2024, 1, 10, 9, 5)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FIRST_PLAN = Step(timedelta(), "plan")
CHAIN = (
    Model("m.a0", "full"),
    Model("m.a1", "full", parents=("m.a0",)),
    Model("m.a2", "full", parents=("m.a1",)),
)
_FORWARD = (
    Model("m.a0", "incremental", forward_only=True),
    Model("m.a1", "view", parents=("m.a0",)),
)

ROOT_BEHIND_A_PARENT = History(
    CHAIN,
    NINE,
    (FIRST_PLAN, Step(DAY, "run", switches=(("broken", "m.a0"),))),
)
BATCHES = (
    Model("m.a0", "incremental", cron="@hourly", batch_size=300),
    Model("m.a1", "full", parents=("m.a0",), audits=("hard", "soft")),
    Model("m.a2", "full", parents=("m.a1",)),
)
INJECTED = History(
    BATCHES,
    NINE,
    (
        Step(timedelta(), "plan", injected=(Injected("m.a0", batch=1), Injected("m.a1", "soft"))),
        Step(HOUR, "plan", switches=(("held", "m.a1"),)),
        Step(HOUR, "plan", injected=(Injected("m.a1", "soft"),)),
        Step(DAY, "run", injected=(Injected("m.a1", "hard", times=1),)),
        Step(DAY, "run", switches=(("held", "m.a0"),)),
    ),
    concurrent_tasks=4,
)
ENDED = History(
    (Model("m.a0", "incremental", end="2024-01-06"), Model("m.a1", "full")),
    NINE,
    (FIRST_PLAN, Step(DAY, "run")),
)
IN_THE_PAST = History(
    CHAIN,
    NINE,
    (FIRST_PLAN, Step(HOUR, "run", arguments={"execution_time": "2024-01-08 09:05:00"})),
)
NO_PREVIEW = History(
    _FORWARD,
    NINE,
    (
        FIRST_PLAN,
        Step(
            HOUR,
            "plan",
            "dev",
            {"enable_preview": False},
            (Edit("breaking", replace(_FORWARD[0], version=2)),),
        ),
    ),
)
_SOFT = Model("m.a1", "full", audits=("soft",))
REUSED_AUDITS = History(
    (Model("m.a0", "full"), Model("m.a1", "full")),
    NINE,
    (
        FIRST_PLAN,
        Step(HOUR, "plan", "dev", edits=(Edit("audits", _SOFT),)),
        Step(
            HOUR,
            "plan",
            switches=(("broken", "m.a0"),),
            edits=(Edit("breaking", Model("m.a0", "full", version=2)),),
        ),
    ),
)
NOT_APPLIED = History(
    CHAIN,
    NINE,
    (
        FIRST_PLAN,
        Step(
            HOUR,
            "plan",
            arguments={"auto_apply": False},
            edits=(Edit("breaking", replace(CHAIN[1], version=2)),),
        ),
    ),
)
AUDIT_ON_DEMAND = History(
    (Model("m.a0", "full", audits=("hard", "soft")),),
    NINE,
    (
        FIRST_PLAN,
        Step(
            HOUR,
            "audit",
            arguments={"start": "2024-01-05", "end": "2024-01-09"},
            switches=(("hard", "m.a0"),),
        ),
    ),
)

_PAIR = (
    Model("m.a0", "incremental"),
    Model("m.a1", "full", parents=("m.a0",)),
)
RESTATED = History(
    (*_PAIR, Model("m.a2", "self", parents=("m.a1",), batch_size=30, disable_restatement=True)),
    NINE,
    (
        FIRST_PLAN,
        Step(
            HOUR,
            "plan",
            arguments={"restate_models": ["m.a0"], "start": "2024-01-05", "end": "2024-01-07"},
            checks=("what_if", "left"),
        ),
        Step(
            HOUR,
            "plan",
            arguments={"restate_models": ["m.a0"], "start": "2024-01-05"},
            switches=(("broken", "m.a0"),),
        ),
        Step(DAY, "run", arguments={"ignore_cron": True}),
    ),
)
"""A restatement with a window, and one that does not finish."""
REMOVED_ELSEWHERE = History(
    _PAIR,
    NINE,
    (
        FIRST_PLAN,
        Step(HOUR, "plan", "dev", edits=(Edit("breaking", replace(_PAIR[0], version=2)),)),
        # It removes the same days from what only dev has.
        Step(
            HOUR,
            "plan",
            arguments={"restate_models": ["m.a0"], "start": "2024-01-05", "end": "2024-01-07"},
        ),
        Step(HOUR, "run", "dev", read="twice", clock="weeks later"),
        Step(DAY, "run"),
    ),
)
AFTER_A_FAILED_PLAN = History(
    (Model("m.a0", "self", batch_size=30, start="2024-02-10"), Model("m.a1", "seed")),
    NINE,
    (FIRST_PLAN, Step(DAY, "run", read="late")),
)
"""A run of an environment that a plan left unfinished, though some of it is loaded."""
RESTATED_WITH_GAPS = History(
    (*_PAIR, Model("m.a2", "incremental", cron="@hourly")),
    NINE,
    (
        Step(timedelta(), "plan", arguments={"skip_backfill": True}),
        Step(
            HOUR,
            "plan",
            arguments={"restate_models": ["m.a1"], "auto_apply": False},
            checks=("what_if",),
        ),
    ),
)
"""A restatement that is not applied, and would have loaded another model too."""
GAPS = History(
    (
        Model("m.a0", "incremental", cron="@hourly"),
        Model("m.a1", "incremental", parents=("m.a0",), cron="@hourly", lookback=2),
        Model("m.a2", "view", parents=("m.a0",)),
        Model("m.a3", "incremental", parents=("m.a2",)),
    ),
    NINE,
    (
        FIRST_PLAN,
        # Only what is below runs, ahead of what it reads.
        Step(
            timedelta(hours=3),
            "run",
            arguments={"select_models": ["m.a1"], "no_auto_upstream": True},
        ),
        Step(DAY, "run", arguments={"start": "2024-01-11 06:00:00"}, checks=("left",)),
        Step(HOUR, "run", read="late", clock="weeks later"),
        Step(
            timedelta(minutes=25),
            "run",
            arguments={
                "select_models": ["m.a3"],
                "no_auto_upstream": True,
                "ignore_cron": True,
                "execution_time": "2024-01-13 00:30:00",
                "end": "2024-01-13 00:30:00",
            },
        ),
        Step(timedelta(days=2), "run", arguments={"ignore_cron": True}),
    ),
)
"""Gaps that are filled, models ahead of what they read, also through a view."""
RESTATED_BY_ITSELF = History(
    (Model("m.a0", "incremental", auto_restatement="@daily"), *CHAIN[1:]),
    NINE,
    (FIRST_PLAN, Step(DAY, "run"), Step(DAY, "run", read="twice", clock="weeks before")),
)
RELATIVE = History(
    (
        Model("m.a0", "incremental", start="1 week ago"),
        Model("m.a1", "incremental", parents=("m.a0",), start="36 hours ago", cron="@hourly"),
        Model("m.a2", "full", parents=("m.a1",), start="3 days ago"),
    ),
    NINE,
    (
        Step(timedelta(), "plan", read="twice", clock="weeks later"),
        Step(HOUR, "run", read="twice", clock="weeks later"),
        Step(
            timedelta(days=5),
            "run",
            arguments={"end": "2024-01-14"},
            read="twice",
            clock="weeks before",
        ),
        Step(DAY, "run", arguments={"start": "2 days ago"}, read="late", clock="weeks later"),
    ),
    afterwards=("variables", "edited", "closed"),
)
"""Starts that are counted from now, in reports that are read late."""
_GROWN = (
    Model("m.a0", "incremental", forward_only=True),
    Model("m.a1", "incremental", cron="@hourly"),
)
STALE = History(
    _GROWN,
    NINE,
    (
        FIRST_PLAN,
        Step(
            timedelta(days=5),
            "plan",
            edits=(
                Edit("added", Model("m.a2", "incremental")),
                Edit("breaking", replace(_GROWN[1], version=2)),
            ),
            checks=("left",),
        ),
        Step(
            DAY,
            "plan",
            "dev",
            {"enable_preview": True},
            (
                Edit("breaking", replace(_GROWN[0], version=2)),
                Edit("added", Model("m.a3", "incremental")),
            ),
            checks=("left",),
        ),
        Step(DAY, "run", "dev"),
        Step(DAY, "run"),
    ),
)
"""Plans that load no further than their environment has got, and beside a preview."""
IRREGULAR = History(
    (
        Model("m.a0", "incremental", cron="0 8-18 * * *"),
        Model("m.a1", "full", cron="0 0 1-10 * *"),
        Model("m.a2", "full", parents=("m.a0",)),
    ),
    NINE,
    (FIRST_PLAN, Step(HOUR, "run"), Step(timedelta(hours=9), "run", read="late")),
    afterwards=("crons",),
)
EAGER = History(
    (
        Model("m.a0", "incremental", cron="@weekly"),
        Model("m.a1", "incremental", parents=("m.a0",)),
    ),
    NINE,
    (FIRST_PLAN, Step(DAY, "run"), Step(DAY, "run", arguments={"ignore_cron": True})),
)
"""A model that is due less often than what reads it, and is loaded before its time."""
LATER_STAGE = History(
    (
        Model("m.a0", "full"),
        Model("m.a1", "incremental", parents=("m.a0",), auto_restatement="@daily"),
        Model("m.a2", "full", parents=("m.a1",)),
    ),
    NINE,
    (Step(timedelta(), "plan", switches=(("broken", "m.a0"),)), Step(HOUR, "plan")),
)
"""A failure in a plan's first stage, and models of its second one that wait for it."""

SCENES = {name.lower(): value for name, value in vars().items() if isinstance(value, History)}

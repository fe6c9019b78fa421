"""Histories that the short selection always has: what it would draw too rarely."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .specs import Edit, History, Injected, Model, Step

_NINE = datetime(2024, 1, 10, 9, 5)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_FIRST = Step(timedelta(), "plan")
_CHAIN = (
    Model("m.a0", "full"),
    Model("m.a1", "full", parents=("m.a0",)),
    Model("m.a2", "full", parents=("m.a1",)),
)
_FORWARD = (
    Model("m.a0", "incremental", forward_only=True),
    Model("m.a1", "view", parents=("m.a0",)),
)

ROOT_BEHIND_A_PARENT = History(
    _CHAIN,
    _NINE,
    (_FIRST, Step(_DAY, "run", switches=(("broken", "m.a0"),))),
)
_BATCHES = (
    Model("m.a0", "incremental", cron="@hourly", batch_size=300),
    Model("m.a1", "full", parents=("m.a0",), audits=("hard", "soft")),
    Model("m.a2", "full", parents=("m.a1",)),
)
INJECTED = History(
    _BATCHES,
    _NINE,
    (
        Step(timedelta(), "plan", injected=(Injected("m.a0", batch=1), Injected("m.a1", "soft"))),
        Step(_HOUR, "plan", switches=(("held", "m.a1"),)),
        Step(_HOUR, "plan", injected=(Injected("m.a1", "soft"),)),
        Step(_DAY, "run", injected=(Injected("m.a1", "hard", times=1),)),
        Step(_DAY, "run", switches=(("held", "m.a0"),)),
    ),
    concurrent_tasks=4,
)
ENDED = History(
    (Model("m.a0", "incremental", end="2024-01-06"), Model("m.a1", "full")),
    _NINE,
    (_FIRST, Step(_DAY, "run")),
)
IN_THE_PAST = History(
    _CHAIN,
    _NINE,
    (_FIRST, Step(_HOUR, "run", arguments={"execution_time": "2024-01-08 09:05:00"})),
)
NO_PREVIEW = History(
    _FORWARD,
    _NINE,
    (
        _FIRST,
        Step(
            _HOUR,
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
    _NINE,
    (
        _FIRST,
        Step(_HOUR, "plan", "dev", edits=(Edit("audits", _SOFT),)),
        Step(
            _HOUR,
            "plan",
            switches=(("broken", "m.a0"),),
            edits=(Edit("breaking", Model("m.a0", "full", version=2)),),
        ),
    ),
)
NOT_APPLIED = History(
    _CHAIN,
    _NINE,
    (
        _FIRST,
        Step(
            _HOUR,
            "plan",
            arguments={"auto_apply": False},
            edits=(Edit("breaking", replace(_CHAIN[1], version=2)),),
        ),
    ),
)
AUDIT_ON_DEMAND = History(
    (Model("m.a0", "full", audits=("hard", "soft")),),
    _NINE,
    (
        _FIRST,
        Step(
            _HOUR,
            "audit",
            arguments={"start": "2024-01-05", "end": "2024-01-09"},
            switches=(("hard", "m.a0"),),
        ),
    ),
)

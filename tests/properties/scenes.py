"""Histories that the short selection always has: what it would draw too rarely."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .specs import Edit, History, Model, Step

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

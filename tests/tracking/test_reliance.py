"""What handlers and protocols declare about SQLMesh."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from pytest_sqlmesh_tracker.tracking.reliance import (
    Reliance,
    fields_of,
    handles,
    methods_of,
    part_of_sqlmesh,
    reliance_of,
)


@handles("core.console:Console.stop", "what ended", ignores="why")
def stop(_: Any, *, snapshot: Any, triggers: Any = None) -> None:
    """Its keyword-only parameters are those that it reads."""


def test_a_handler_declares_what_it_reads_as_keyword_only_parameters() -> None:
    reliance = reliance_of(stop)
    assert reliance == Reliance(
        "core.console:Console.stop", "what ended", ("snapshot",), ("triggers",), ("why",)
    )
    assert reliance.name == "stop"
    assert reliance.parameters == {"snapshot", "triggers", "why"}


def test_a_handler_receives_only_what_it_reads() -> None:
    arguments = {"snapshot": 1, "why": 2}
    assert reliance_of(stop).pick(arguments) == {"snapshot": 1}
    assert reliance_of(stop).pick({**arguments, "triggers": 3}) == {"snapshot": 1, "triggers": 3}
    with pytest.raises(KeyError, match="snapshot"):
        reliance_of(stop).pick({"triggers": 3})


class Inner(Protocol):
    """A part of a part."""

    name: str


@part_of_sqlmesh("core.plan:Plan", "plans")
class Plan(Protocol):
    """Attributes, one of them with nested attributes, and a method."""

    start: Any
    environment: Inner

    def copy(self, deep: bool, *, update: Any) -> Any:
        """What plans are copied for."""


def test_declarations_of_a_protocol() -> None:
    assert list(fields_of(Plan)) == ["start", "environment.name"]
    assert reliance_of(Plan) == Reliance("core.plan:Plan", "plans")
    assert list(methods_of(Plan)) == [
        Reliance(
            "core.plan:Plan.copy", "What plans are copied for.", reads=("update",), positional=2
        )
    ]

"""How trackers treat a context that sandboxes or `doctor` have made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Preferences:
    """How trackers treat one context."""

    left_out: bool = False
    """Whether trackers of all contexts leave it out."""
    longest_wait: float | None = None
    """The number of seconds after which a run that waits raises; None for no limit."""


# An attribute, since contexts of a user's class need be neither hashable nor weakly referable.
_ATTRIBUTE = "_sqlmesh_tracker_preferences"


def prefer(context: Any, preferences: Preferences) -> None:
    """Let trackers treat a context in this way."""
    setattr(context, _ATTRIBUTE, preferences)


def preferences_of(context: Any) -> Preferences:
    """How trackers treat a context."""
    preferences: Preferences = getattr(context, _ATTRIBUTE, Preferences())
    return preferences


def leave_out(context: Any) -> None:
    """Let trackers of all contexts leave this one out."""
    prefer(context, replace(preferences_of(context), left_out=True))

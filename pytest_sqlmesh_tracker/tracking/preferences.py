"""How trackers treat a context that sandboxes or `doctor` have made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary


@dataclass(frozen=True)
class Preferences:
    """How trackers treat one context."""

    left_out: bool = False
    """Whether trackers of all contexts leave it out."""
    longest_wait: float | None = None
    """The number of seconds after which a run that waits raises; None for no limit."""


_PREFERENCES: WeakKeyDictionary[Any, Preferences] = WeakKeyDictionary()


def prefer(context: Any, preferences: Preferences) -> None:
    """Let trackers treat a context in this way."""
    _PREFERENCES[context] = preferences


def preferences_of(context: Any) -> Preferences:
    """How trackers treat a context."""
    return _PREFERENCES.get(context, Preferences())

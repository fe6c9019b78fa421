"""Prevents first imports while freezegun has frozen the clock, and offers clocks that keep running.

freezegun replaces `date` and `datetime` in all modules, and later restores them there. It does not
reach schemas that pydantic has built meanwhile: a module first imported under a frozen clock
rejects real dates until the process ends. This module imports neither freezegun nor pytest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import resolve_name
from types import ModuleType
from typing import Any

_FREEZEGUN = "freezegun.api"


class FrozenClockError(ImportError):
    """A module was first imported while freezegun had frozen the clock."""


def is_frozen() -> bool:
    """Whether freezegun has frozen this process's clock."""
    return bool(getattr(sys.modules.get(_FREEZEGUN), "freeze_factories", ()))


def perf_counter() -> float:
    """The real `time.perf_counter`, in seconds, even while freezegun replaces it."""
    counter: Callable[[], float] = _real("real_perf_counter", time.perf_counter)
    return counter()


def utc_now() -> datetime:
    """The current UTC time behind freezegun's clock; `time_machine` still affects it."""
    real: type[datetime] = _real("real_datetime", datetime)
    return real.now(timezone.utc)


def is_used() -> bool:
    """Whether anything has imported freezegun."""
    return _FREEZEGUN in sys.modules


def _real(name: str, otherwise: Any) -> Any:
    """The original that freezegun keeps of what it replaces; `otherwise` if it is not imported."""
    return getattr(sys.modules.get(_FREEZEGUN), name, otherwise)


def import_lazily(name: str, package: str) -> ModuleType:
    """Import a module on first use, as `import_module` does.

    Raises:
        FrozenClockError: the clock is frozen at the first use.
    """
    check_imported(resolve_name(name, package))
    return import_module(name, package)


def check_imported(*modules: str) -> None:
    """Reject the first import of a module under a frozen clock.

    Raises:
        FrozenClockError: the clock is frozen, and one of the modules has not been imported.
    """
    missing = [module for module in modules if module not in sys.modules] if is_frozen() else []
    if missing:
        raise FrozenClockError(
            f"{missing[0]} can't be imported for the first time while freezegun has frozen the "
            "clock, because freezegun's dates would stay in it until the process ends; import it "
            "before the clock is frozen, such as at the top of conftest.py",
            name=missing[0],
        )

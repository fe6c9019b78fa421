"""Pauses Python's cyclic garbage collection where many objects are created and all of them stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no cyclic garbage meanwhile, in any thread.

    While thousands of reports are read, the collector would traverse those read so far again and
    again, which takes as long as reading them, and would find nothing to collect.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""Garbage collection is paused while many objects are created."""

from __future__ import annotations

import gc

import pytest

from pytest_sqlmesh_tracker.process.garbage import collection_paused


def test_is_paused_and_goes_on() -> None:
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="unreadable"), collection_paused():
        raise ValueError("unreadable")
    assert gc.isenabled()


def test_stays_disabled_if_it_was() -> None:
    gc.disable()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()

"""Addresses within the page are stable, valid and unique, and encoded as browsers do it."""

from __future__ import annotations

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker.render.page.anchors import invocation_anchors, model_anchor

A, B = UUID("3f2a9c1b-0000-4000-8000-000000000001"), UUID("77aa00bb-0000-4000-8000-000000000002")


def test_an_invocation_has_the_first_digits_of_its_reports_id() -> None:
    assert invocation_anchors([A, B]) == ["3f2a9c1b", "77aa00bb"]


def test_each_report_keeps_its_address_among_others() -> None:
    assert invocation_anchors([B, A]) == ["77aa00bb", "3f2a9c1b"]


def test_a_duplicate_report_has_two_addresses() -> None:
    assert invocation_anchors([A, B, A, A]) == ["3f2a9c1b", "77aa00bb", "3f2a9c1b-2", "3f2a9c1b-3"]


def test_an_address_of_a_model_has_its_invocation_and_its_name() -> None:
    assert model_anchor("3f2a9c1b", "sales.daily-orders_v2") == "3f2a9c1b/sales.daily-orders_v2"


def test_special_characters_are_encoded_as_in_browsers() -> None:
    assert model_anchor("i", 'a."my orders"/売') == "i/a.%22my%20orders%22%2F%E5%A3%B2"


def test_a_very_long_name_is_shortened_and_stays_unique() -> None:
    one, other = (model_anchor("i", "x" * 1000 + end) for end in "ab")

    assert one != other
    assert len(one) <= 160


@given(st.lists(st.text(max_size=60), unique=True, max_size=8))
def test_any_names_have_valid_and_unique_addresses(names: list[str]) -> None:
    anchors = {model_anchor("i", name) for name in names}

    assert len(anchors) == len(names)
    assert all(re.fullmatch(r"[\w./%~-]+", anchor, re.ASCII) for anchor in anchors)

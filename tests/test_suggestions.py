"""Suggestions for invalid words."""

from __future__ import annotations

from pytest_sqlmesh_tracker.suggestions import close_matches


class TestCloseMatches:
    def test_are_sorted_and_at_most_three(self) -> None:
        valid = ["orders_1", "orders_12", "orders", "orders_123", "users"]
        close = close_matches("order", valid)
        assert close[0] == "orders"
        assert len(close) == 3

    def test_are_empty_for_a_dissimilar_word(self) -> None:
        assert close_matches("zzz", ["orders"]) == []

    def test_keep_their_capitals(self) -> None:
        assert close_matches("ORDER", ["OrDeRs"]) == ["OrDeRs"]
        assert close_matches("order", ["ORDERS"]) == ["ORDERS"]

"""The models by schema: the models of each schema, and the order of schemas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker.render.page.schemas import SchemaGroup, by_schema, split
from tests.drawing import model_names


def grouped(**reads: str) -> dict[str, SchemaGroup]:
    """Schemas by their names; `core_a="raw_a raw_b"`: `core.a` reads `raw.a` and `raw.b`."""
    names = [name.replace("_", ".") for name in reads]
    places = {name: place for place, name in enumerate(reads)}
    groups = by_schema(names, [[places[one] for one in its.split()] for its in reads.values()])
    return {group.name: group for group in groups}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sales.orders", ("sales", "orders")),
        ("lake.sales.orders", ("lake.sales", "orders")),
        ('sales."orders.daily"', ("sales", '"orders.daily"')),
        ('"my.lake".sales."a ""b"""', ('"my.lake".sales', '"a ""b"""')),
        ("orders", ("", "orders")),
        ('a"b', ("", 'a"b')),
    ],
)
def test_a_name_is_split_at_its_last_part(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts


def test_no_models_have_no_schemas() -> None:
    assert by_schema([], []) == []


def test_a_schema_has_its_models_and_is_below_the_schemas_that_it_reads() -> None:
    schemas = grouped(raw_a="", raw_b="", core_a="raw_a", marts_a="core_a", marts_b="core_a")

    assert {name: s.models for name, s in schemas.items()} == {
        "raw": (0, 1),
        "core": (2,),
        "marts": (3, 4),
    }
    assert [s.row for s in schemas.values()] == [0, 1, 2]
    assert [s.reads for s in schemas.values()] == [(), (0,), (1,)]


def test_schemas_with_the_same_upstream_are_next_to_each_other() -> None:
    schemas = grouped(raw_a="", sales_a="raw_a", web_a="raw_a")

    assert [s.row for s in schemas.values()] == [0, 1, 1]


def test_one_model_that_reads_a_neighbor_does_not_put_its_schema_below() -> None:
    schemas = grouped(
        raw_a="", raw_b="", raw_c="", sales_a="raw_a", web_a="raw_a raw_b raw_c sales_a"
    )

    assert schemas["web"].row == schemas["sales"].row == 1
    assert schemas["web"].reads == (0, 1)
    assert schemas["web"].mainly_reads == (0,)


def test_the_more_upstream_of_two_mutually_dependent_schemas_is_above() -> None:
    schemas = grouped(core_a="", marts_a="core_a", core_b="marts_a", marts_b="core_b core_a")

    assert (schemas["core"].row, schemas["marts"].row) == (0, 1)
    assert schemas["core"].reads == (1,)
    assert schemas["core"].mainly_reads == ()


@given(st.data())
def test_any_models_are_in_one_schema_each_and_rows_have_no_gaps(data: st.DataObject) -> None:
    names = data.draw(st.lists(model_names, unique=True, max_size=10))
    numbers = st.integers(0, max(0, len(names) - 1))
    parents = [data.draw(st.sets(numbers, max_size=3)) for _ in names]

    groups = by_schema(names, parents)

    assert sorted(m for group in groups for m in group.models) == list(range(len(names)))
    assert {group.row for group in groups} == set(range(len({group.row for group in groups})))
    for group in groups:
        assert all(groups[one].row < group.row for one in group.mainly_reads)
        assert set(group.mainly_reads) <= set(group.reads) <= set(range(len(groups)))

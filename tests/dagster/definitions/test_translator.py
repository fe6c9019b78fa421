"""Names: Dagster accepts what SQLMesh accepts, or a one-line error shows which names collide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import AuditOutcome
from pytest_sqlmesh_tracker.dagster import ModelDefinition, SqlmeshTranslator, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, audit_call
from tests.dagster.models import assets, audit, load, model, project

TRANSLATOR = SqlmeshTranslator()
ODD = ["a-b", "a_b", "a.b", "a b", 'a"b', "a/b", "a__b", "über", "订单", "int", "class", "x" * 200]
identifiers = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=12))
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=80))
calls = st.builds(
    audit,
    st.sampled_from(["not_null", "not-null", "not null", "b", "b_c", STATUS_CHECK, "订单"]),
    columns=st.sampled_from(["(id)", "(id, ts)", "id_ts", "'ü'", "x" * 200]),
)


@st.composite
def models(draw: st.DrawFn) -> ModelDefinition:
    parts = draw(st.lists(identifiers, min_size=1, max_size=3))
    audits = draw(st.lists(calls, max_size=4, unique_by=audit_call))
    return model(
        ".".join(f'"{part}"' for part in parts),
        parts=tuple(parts),
        owner=draw(st.none() | texts),
        tags=tuple(draw(st.lists(texts, max_size=3))),
        description=draw(st.none() | texts),
        dialect=draw(st.none() | identifiers),
        audits=tuple(audits),
    )


def alike(definitions: Sequence[ModelDefinition]) -> bool:
    """Whether Dagster has one output for two of them."""
    keys = [TRANSLATOR.get_asset_key(each) for each in definitions]
    outputs = [key.to_python_identifier() for key in keys]
    outputs += [f"{output}_{STATUS_CHECK}" for output in outputs]
    return len(outputs) > len(set(outputs))


@settings(deadline=None)
@given(
    st.lists(models(), min_size=1, max_size=4, unique_by=lambda each: each.name),
    texts,
    texts.filter(bool),
)
@pytest.mark.long
def test_definitions_load_or_raise_a_one_line_error(
    definitions: list[ModelDefinition], name: str, environment: str
) -> None:
    def build() -> dg.AssetsDefinition:
        shop = project(*definitions, name=name)
        return build_sqlmesh_assets(project=shop, environment=environment)

    if alike(definitions):
        with pytest.raises(
            dg.DagsterInvalidDefinitionError, match=r"override \S+ or get_asset_key"
        ):
            build()
    else:
        built = build()
        load(built)
        assert {spec.metadata[MODEL] for spec in built.specs} == {one.name for one in definitions}


@settings(deadline=None)
@given(
    st.lists(models(), min_size=1, max_size=4, unique_by=lambda each: each.name).filter(
        lambda each: not alike(each)
    ),
    st.randoms(),
)
def test_each_audit_has_its_own_check_in_any_order(
    definitions: list[ModelDefinition], random: Any
) -> None:
    names = assets(*definitions).checks
    for definition in definitions:
        own = names[definition.name]
        assert len({*own.values(), STATUS_CHECK}) == len(definition.audits) + 1
        for each in definition.audits:
            ran = AuditOutcome(
                name=each.name, arguments=each.arguments, blocking=True, passed=True, rows_failed=0
            )
            assert own[audit_call(ran)] == own[audit_call(each)]
    shuffled = [
        each.model_copy(update={"audits": tuple(random.sample(each.audits, len(each.audits)))})
        for each in definitions
    ]
    assert assets(*shuffled).checks == names


# -- keys, groups, owners, tags -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "key", "group"),
    [
        (("sales", "orders"), ["sales", "orders"], "sales"),
        (("other", "sales", "orders"), ["other", "sales", "orders"], "sales"),
        (("sales-eu", "Orders 2024"), ["sales-eu", "Orders_2024"], "sales_eu"),
        (("orders",), ["orders"], None),
        # Dagster reserves a few words.
        (("int",), ["int_"], None),
        (("sales", "int"), ["sales", "int"], "sales"),
    ],
)
def test_a_model_has_its_sqlmesh_name_as_key(
    parts: tuple[str, ...], key: list[str], group: str | None
) -> None:
    definition = model("sales.orders", parts=parts)
    assert TRANSLATOR.get_asset_key(definition) == dg.AssetKey(key)
    assert TRANSLATOR.get_group_name(definition) == group


@pytest.mark.parametrize(
    ("owner", "owners"),
    [
        (None, []),
        (" ", []),
        ("ada@example.com", ["ada@example.com"]),
        ("team:data", ["team:data"]),
        ("data", ["team:data"]),
        ("team:", ["team:team:"]),
        ("  Data\n Team ", ["team:Data Team"]),
    ],
)
def test_an_owner_is_a_person_or_a_team(owner: str | None, owners: list[str]) -> None:
    assert TRANSLATOR.get_owners(model("sales.orders", owner=owner)) == owners


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ((":0", ""), {"tag": "0"}),
        (("core", "pii:true", "tier=1"), {"core": "", "pii": "true", "tier": "1"}),
        (("two words", "a/b"), {"two_words": "", "a_b": ""}),
        (("x" * 200,), {"x" * 63: ""}),
        (("", ":"), {"tag": ""}),
        (("in:prod", "in:dev"), {"in": "prod", "in_dev": ""}),
    ],
)
def test_tags_are_converted_to_valid_tags(tags: tuple[str, ...], shown: dict[str, str]) -> None:
    assert TRANSLATOR.get_tags(model("sales.orders", tags=tags)) == shown


@pytest.mark.parametrize(
    ("dialect", "kinds"),
    [
        ("duckdb", {"sqlmesh", "full", "duckdb"}),
        ("Snowflake, normalization_strategy = case_sensitive", {"sqlmesh", "full", "snowflake"}),
        (None, {"sqlmesh", "full"}),
    ],
)
def test_kinds_contain_sqlmesh_the_models_kind_and_its_dialect(
    dialect: str | None, kinds: set[str]
) -> None:
    assert TRANSLATOR.get_kinds(model("sales.orders", dialect=dialect)) == kinds


# -- checks -------------------------------------------------------------------------------------


def test_a_check_is_named_after_its_audit() -> None:
    orders = model("sales.orders", audits=(audit("not_null", columns="(id)"), audit("is_small")))
    assert list(assets(orders).checks["sales.orders"].values()) == ["is_small", "not_null"]


def test_an_audit_that_is_used_twice_is_distinguished_by_its_arguments() -> None:
    orders = model(
        "sales.orders",
        audits=(
            audit("not_null", columns="(id, ts)"),
            audit("not_null", columns="(amount)"),
            audit("not_null", columns="AMOUNT"),
            audit("not_null", columns="'AMOUNT'"),
            audit("not_null"),
        ),
    )
    assert sorted(assets(orders).checks["sales.orders"].values()) == [
        "not_null",
        "not_null_AMOUNT",
        "not_null_AMOUNT_2",
        "not_null_amount",
        "not_null_id_ts",
    ]


def test_an_audit_does_not_take_the_name_of_the_status_check() -> None:
    orders = model("sales.orders", audits=(audit(STATUS_CHECK),))
    assert list(assets(orders).checks["sales.orders"].values()) == [f"{STATUS_CHECK}_2"]


def test_a_check_does_not_take_the_name_of_another_asset() -> None:
    # In Dagster, the check `daily` of `sales/orders` is the output `sales__orders_daily` of the op.
    orders = model("sales.orders", audits=(audit("daily"), audit("daily_not_null")))
    daily = model("sales.orders_daily", audits=(audit("not_null"),))
    built = build_sqlmesh_assets(project=project(orders, daily))
    load(built)
    names = {key.asset_key.path[-1]: set[str]() for key in built.check_keys}
    for key in built.check_keys - {dg.AssetCheckKey(k, STATUS_CHECK) for k in built.keys}:
        names[key.asset_key.path[-1]].add(key.name)
    assert names == {"orders": {"daily_2", "daily_not_null"}, "orders_daily": {"not_null_2"}}


# -- what can't be distinguished ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (
            [model("sales.a-b"), model("sales.a_b")],
            "sales.a-b and sales.a_b would all become sales__a_b in Dagster",
        ),
        (
            [model("sales.ä"), model("sales.ö", "sales.ä")],
            "sales.ä and sales.ö would all become sales___ in Dagster",
        ),
        (
            [model("sales.ä", "raw.ö", parts=("raw", "ä"))],
            "sales.ä and raw.ö would all become raw___ in Dagster",
        ),
        (
            [model("sales.a"), model(f"sales.a_{STATUS_CHECK}")],
            f"sales.a and sales.a_{STATUS_CHECK} would all become sales__a_{STATUS_CHECK} in "
            "Dagster",
        ),
    ],
)
def test_names_that_collide_in_dagster_are_rejected(
    models: list[ModelDefinition], line: str
) -> None:
    shop = project(*models, outside={"raw.ö": ("raw", "ö")})
    with pytest.raises(dg.DagsterInvalidDefinitionError) as raised:
        build_sqlmesh_assets(project=shop)
    assert str(raised.value) == (
        f"{line}: override get_table_key or get_asset_key of SqlmeshTranslator, or use exclude="
    )


def test_one_of_two_colliding_models_can_be_excluded() -> None:
    shop = project(model("sales.a-b"), model("sales.a_b"))
    load(build_sqlmesh_assets(project=shop, exclude="sales.a-b"))


# -- a translator of one's own ------------------------------------------------------------------


class Ours(SqlmeshTranslator):
    """Says as little as it may."""

    def get_asset_key(self, model: ModelDefinition) -> dg.AssetKey:
        return dg.AssetKey(["ours", *model.parts])

    def get_metadata(
        self, model: ModelDefinition, keys: Mapping[str, dg.AssetKey]
    ) -> Mapping[str, Any]:
        return {"reads": [keys[name].to_user_string() for name in model.upstream]}

    def get_asset_spec(
        self,
        model: ModelDefinition,
        upstream: Sequence[dg.AssetKey],
        keys: Mapping[str, dg.AssetKey],
    ) -> dg.AssetSpec:
        return super().get_asset_spec(model, upstream, keys).replace_attributes(skippable=False)


def test_an_op_knows_its_models_with_any_translator() -> None:
    shop = project(model("sales.orders"), model("sales.weekly", "sales.orders"))
    built = build_sqlmesh_assets(project=shop, translator=Ours())
    load(built)
    orders, weekly = (built.specs_by_key[key] for key in sorted(built.keys))
    assert [dep.asset_key for dep in weekly.deps] == [orders.key]
    assert orders.key == dg.AssetKey(["ours", "sales", "orders"])
    assert weekly.metadata[MODEL] == "sales.weekly"
    assert orders.skippable
    assert weekly.skippable

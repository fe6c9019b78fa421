"""Looking up models: every way to name a model finds it, and no other one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, UnknownModelError
from pytest_sqlmesh_tracker.models.index import unquoted
from tests.builders import executed, fqn, outcome, run, skipped
from tests.drawing import reports, unhurried

SHOP = run(
    outcome("raw.events", "skipped", "not_evaluatable", kind="external"),
    executed("staging.events"),
    executed("staging.users"),
    skipped("sales.orders"),
    skipped("sales.Weekly"),
    outcome("sales.shared", "skipped", "not_evaluatable", kind="embedded"),
    outcome("no_orphans", "audited", kind="audit", fqn="no_orphans", cron=None),
)


@dataclass
class Model:
    """What is used of SQLMesh's `Model`: the fully qualified name, and one that is ambiguous."""

    name: str
    fqn: str


@dataclass
class Snapshot:
    """What is used of SQLMesh's `Snapshot`: the fully qualified name, in `name`."""

    name: str


def names(report: RunReport, model: object) -> list[str]:
    return [made.name for made in report.matching(model)]


class TestOneModel:
    @pytest.mark.parametrize(
        "name",
        [
            "sales.orders",
            '"wh"."sales"."orders"',
            "wh.sales.orders",
            '"sales"."orders"',
            'sales."orders"',
            "`sales`.`orders`",
            "SALES.Orders",
            "WH.SALES.ORDERS",
            '"WH"."Sales"."Orders"',
            Model(name="sales.orders", fqn='"wh"."sales"."orders"'),
            Model(name="db.another_name", fqn='"wh"."sales"."orders"'),
            Snapshot(name='"wh"."sales"."orders"'),
            skipped("sales.orders"),
        ],
        ids=str,
    )
    def test_is_found_by_any_of_its_names(self, name: object) -> None:
        assert SHOP[name].name == "sales.orders"
        assert names(SHOP, name) == ["sales.orders"]

    def test_is_found_in_any_case(self) -> None:
        assert SHOP["sales.Weekly"] is SHOP["sales.weekly"]
        assert SHOP["sales.Weekly"] is SHOP["wh.sales.weekly"]

    def test_can_be_a_standalone_audit_with_its_bare_name(self) -> None:
        assert SHOP["no_orphans"].kind == "audit"

    @pytest.mark.parametrize("name", ["raw.events", "sales.shared"])
    def test_can_be_external_or_embedded(self, name: str) -> None:
        assert names(SHOP, name) == [name]

    def test_can_have_another_catalog(self) -> None:
        lake = outcome("lake.sales.orders", "executed", fqn='"lake"."sales"."orders"')
        report = run(lake, skipped("sales.orders"))
        assert report["lake.sales.orders"] is lake
        assert report["sales.orders"].fqn == fqn("sales.orders")

    def test_can_need_quotes(self) -> None:
        odd = outcome('sales."order-lines"', "executed", fqn='"wh"."sales"."order-lines"')
        report = run(odd)
        assert report['sales."order-lines"'] is odd
        assert report["sales.order-lines"] is odd

    def test_can_have_glob_characters_in_its_name(self) -> None:
        odd = outcome('sales."a*"', "executed", fqn='"wh"."sales"."a*"')
        report = run(odd, executed("sales.abc"))
        assert names(report, 'sales."a*"') == ['sales."a*"']
        assert names(report, "sales.a*") == ['sales."a*"', "sales.abc"]

    def test_is_not_found_by_a_part_of_its_name(self) -> None:
        for part in ("orders", "sales", "ales.orders", "sales.order", "sales.", ""):
            with pytest.raises(UnknownModelError):
                SHOP[part]

    def test_is_not_found_by_a_glob(self) -> None:
        with pytest.raises(UnknownModelError, match=re.escape("'sales.*'")):
            SHOP["sales.*"]

    @unhurried
    @given(reports())
    def test_is_found_by_its_display_name_in_any_report(self, report: RunReport) -> None:
        for name, made in report.outcomes.items():
            assert report[name] is made


class TestLetterCase:
    """They are ignored where that leaves no doubt."""

    def twins(self) -> RunReport:
        return run(
            outcome('sales."Orders"', "executed", fqn='"wh"."sales"."Orders"'),
            outcome("sales.orders", "skipped", "cron_not_due"),
        )

    def test_distinguishes_models_that_differ_only_in_case(self) -> None:
        assert self.twins()["sales.orders"].status == "skipped"
        assert self.twins()["sales.Orders"].status == "executed"
        assert self.twins()['sales."Orders"'].status == "executed"

    def test_is_ambiguous_if_it_matches_neither_of_them(self) -> None:
        with pytest.raises(UnknownModelError) as caught:
            self.twins()["SALES.ORDERS"]
        assert str(caught.value) == (
            "'SALES.ORDERS' matches several models: "
            'sales."Orders" ("wh"."sales"."Orders"), sales.orders ("wh"."sales"."orders")'
        )

    def test_distinguishes_models_in_globs(self) -> None:
        assert names(self.twins(), "sales.ord*") == ["sales.orders"]
        assert names(self.twins(), "sales.Ord*") == ['sales."Orders"']

    def test_a_glob_matches_models_that_differ_in_more_than_case(self) -> None:
        """Every match must hold, so none may be lost: these differ in more than case."""
        report = run(executed("sales.orders"), skipped("raw.Orders"), skipped("SALES.users"))
        assert names(report, "*.orders") == ["sales.orders", "raw.Orders"]
        assert names(report, "*.Orders") == ["sales.orders", "raw.Orders"]
        assert names(report, "sales.*") == ["sales.orders", "SALES.users"]
        assert names(report, "s*") == ["sales.orders", "SALES.users"]


class TestGlobs:
    @pytest.mark.parametrize(
        ("glob", "matches"),
        [
            ("staging.*", ["staging.events", "staging.users"]),
            ("staging.u*", ["staging.users"]),
            ("*.users", ["staging.users"]),
            ("s*", ["staging.events", "staging.users", "sales.orders", "sales.Weekly"]),
            ("*", ["staging.events", "staging.users", "sales.orders", "sales.Weekly"]),
            ("sales.order?", ["sales.orders"]),
            ("sales.[o-p]*", ["sales.orders"]),
            ("staging.[!e]*", ["staging.users"]),
            ("SALES.*", ["sales.orders", "sales.Weekly"]),
            ("sales.week*", ["sales.Weekly"]),
            ('"sales".*', ["sales.orders", "sales.Weekly"]),
            ('"wh"."sales".*', ["sales.orders", "sales.Weekly"]),
            ("wh.sales.*", ["sales.orders", "sales.Weekly"]),
        ],
    )
    def test_match_names(self, glob: str, matches: list[str]) -> None:
        assert names(SHOP, glob) == matches

    def test_match_in_the_order_of_the_report(self) -> None:
        assert names(run(executed("b.x"), executed("a.x")), "*") == ["b.x", "a.x"]

    @pytest.mark.parametrize("glob", ["raw.*", "raw.event?", "*.shared", "no_*"])
    def test_leave_out_external_and_embedded_models_and_audits(self, glob: str) -> None:
        with pytest.raises(UnknownModelError, match=re.escape(repr(glob))):
            SHOP.matching(glob)

    def test_prefer_names_without_a_catalog(self) -> None:
        """The file `sales.db` makes `sales` the default catalog: not all is in the schema then."""
        orders = outcome("sales.orders", "executed", fqn='"sales"."sales"."orders"')
        users = outcome("staging.users", "skipped", fqn='"sales"."staging"."users"')
        assert names(run(orders, users), "sales.*") == ["sales.orders"]
        assert names(run(orders, users), "sales.staging.*") == ["staging.users"]


class TestUnknownNames:
    def message(self, report: RunReport, model: object) -> str:
        with pytest.raises(UnknownModelError) as caught:
            report.matching(model)
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    def test_are_lookup_errors(self) -> None:
        assert issubclass(UnknownModelError, LookupError)
        assert not issubclass(UnknownModelError, AssertionError)

    def test_have_a_close_match(self) -> None:
        message = self.message(run(executed("sales.orders"), executed("raw.x")), "sales.order")
        assert message == "no model 'sales.order' in the report; did you mean sales.orders?"

    def test_have_the_closest_match_first(self) -> None:
        assert "did you mean sales.orders" in self.message(SHOP, "sales.order")

    def test_have_close_matches_in_any_case(self) -> None:
        assert "did you mean sales.Weekly?" in self.message(SHOP, "sales.WEEKLI")

    def test_have_several_close_matches(self) -> None:
        assert "did you mean staging.events, " in self.message(SHOP, "staging.event")

    @pytest.mark.parametrize("name", ["orders", "order", "reporting.orders", '"orders"'])
    def test_suggest_the_table_in_another_schema(self, name: str) -> None:
        assert "sales.orders" in self.message(SHOP, name)

    def test_have_close_matches_for_qualified_names(self) -> None:
        assert "sales.orders" in self.message(SHOP, '"wh"."sales"."orderz"')

    def test_have_close_matches_for_objects(self) -> None:
        assert "sales.orders" in self.message(SHOP, Model("sales.orderz", '"wh"."sales"."orderz"'))

    def test_without_close_matches_list_the_models(self) -> None:
        report = run(executed("b.y"), executed("a.x"))
        assert self.message(report, "zzz") == "no model 'zzz' in the report; it has a.x, b.y"

    @pytest.mark.parametrize(("models", "end"), [(8, "a.m7"), (9, "a.m7 and 1 more")])
    def test_list_up_to_eight_models(self, models: int, end: str) -> None:
        report = run(*(executed(f"a.m{number}") for number in range(models)))
        assert self.message(report, "zzz").endswith(f", {end}")

    def test_do_not_list_hundreds_of_models(self) -> None:
        report = run(*(executed(f"a.m{number:03}") for number in range(300)))
        message = self.message(report, "zzz")
        assert message.endswith(
            "a.m000, a.m001, a.m002, a.m003, a.m004, a.m005, a.m006, a.m007 and 292 more"
        )

    @pytest.mark.parametrize("name", ["a.x", "a.*"])
    def test_a_report_without_models_has_its_own_message(self, name: str) -> None:
        assert "no models" in self.message(run(), name)

    def test_names_that_differ_only_in_quotes_are_ambiguous(self) -> None:
        report = run(
            outcome('"a.b".c', "executed", fqn='"wh"."a.b"."c"'),
            outcome('a."b.c"', "executed", fqn='"wh"."a"."b.c"'),
        )
        assert "several models" in self.message(report, "a.b.c")
        assert report['"a.b".c'].fqn == '"wh"."a.b"."c"'

    def test_a_glob_without_a_match_lists_the_models(self) -> None:
        report = run(executed("a.x"), executed("b.y"))
        assert (
            self.message(report, "c.*") == "no model matches 'c.*' in the report; it has a.x, b.y"
        )

    def test_a_glob_without_a_match_suggests_close_matches(self) -> None:
        crowd = [executed(f"base.m{number:02}") for number in range(40)]
        report = run(*crowd, executed("staging.events"), executed("staging.users"))
        assert "staging." in self.message(report, "stagin.*")

    def test_a_glob_for_external_models_explains_that_globs_leave_them_out(self) -> None:
        report = run(SHOP["raw.events"])
        assert self.message(report, "raw.*") == (
            "no model matches 'raw.*' in the report; it has no models that globs can match"
        )

    def test_a_glob_that_left_out_only_external_models_explains_so(self) -> None:
        assert "raw.events" in self.message(SHOP, "raw.*")


@pytest.mark.parametrize(
    "nonsense",
    [None, 1, True, 1.5, b"sales.orders", ("sales.orders",), ["sales.orders"], {"sales.orders"}],
    ids=repr,
)
class TestInvalidNames:
    def test_are_type_errors_that_list_what_is_valid(self, nonsense: object) -> None:
        message = (
            f"a model must be a name, a glob, a Model or a Snapshot, not {type(nonsense).__name__}"
        )
        with pytest.raises(TypeError, match=f"^{message}$"):
            SHOP[nonsense]
        with pytest.raises(TypeError, match=f"^{message}$"):
            SHOP.matching(nonsense)

    def test_are_type_errors_in_a_report_without_models(self, nonsense: object) -> None:
        with pytest.raises(TypeError):
            run().matching(nonsense)


def test_an_object_whose_name_is_not_a_string_is_rejected() -> None:
    with pytest.raises(TypeError):
        SHOP[Model(name=1, fqn=None)]  # type: ignore[arg-type]


def test_a_path_is_rejected() -> None:
    with pytest.raises((TypeError, UnknownModelError)):
        SHOP[Path("models/sales.orders.sql")]


def test_unquoted() -> None:
    assert unquoted('"wh"."sales"."orders"') == unquoted("`wh`.sales.orders") == "wh.sales.orders"


def test_matching_returns_a_model_or_raises() -> None:
    """Every pattern either matches a model or raises an error."""
    patterns: list[object] = ["*", "a*", "[", "[]", "?", "", ".", "sales.orders", '"', "``"]
    for report in (SHOP, run()):
        for model in patterns:
            try:
                matches: list[ModelOutcome] = report.matching(model)
            except UnknownModelError:
                continue
            assert matches

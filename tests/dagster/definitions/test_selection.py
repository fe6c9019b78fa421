"""Which models become assets: names, globs and tags, with upstream or downstream models."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import UnknownModelError
from pytest_sqlmesh_tracker.dagster.definitions.selection import asset_models
from tests.dagster.models import model

# clicks ─┬→ sessions → report     raw.events is external, and raw.recent embedded.
# orders ─┘            weekly
MODELS = (
    model("raw.events", kind="external"),
    model("raw.recent", "raw.events", kind="embedded"),
    model("web.clicks", "raw.recent", tags=("raw",)),
    model("sales.orders", "raw.recent", tags=("raw", "pii:true")),
    model("web.sessions", "web.clicks", "sales.orders"),
    model("web.report", "web.sessions"),
    model("sales.weekly", "sales.orders"),
    model("none_missing", "sales.orders", kind="audit"),
)


@pytest.mark.parametrize(
    ("select", "exclude", "chosen"),
    [
        ("*", None, "clicks orders sessions report weekly"),
        ("web.report", None, "report"),
        ("WEB.*", None, "clicks sessions report"),
        (["web.report", "sales.orders"], None, "orders report"),
        ("+web.sessions", None, "clicks orders sessions"),
        ("web.clicks+", None, "clicks sessions report"),
        ("+web.sessions+", None, "clicks orders sessions report"),
        ("tag:raw", None, "clicks orders"),
        ("tag:pii*", None, "orders"),
        ("tag:pii:true+", None, "orders sessions report weekly"),
        ("raw.events+", None, "clicks orders sessions report weekly"),
        ("*", "sales.*", "clicks sessions report"),
        ("*", ["web.sessions+", "tag:pii:true"], "clicks weekly"),
        ("*", [], "clicks orders sessions report weekly"),
    ],
)
def test_models_are_selected_and_excluded(
    select: str | list[str], exclude: str | list[str] | None, chosen: str
) -> None:
    names = [model.parts[-1] for model in asset_models(MODELS, select, exclude)]
    assert names == chosen.split()


@pytest.mark.parametrize(
    ("select", "exclude", "line"),
    [
        (
            "sales.ordres",
            None,
            "no model 'sales.ordres' in the project; did you mean sales.orders?",
        ),
        (
            "*",
            "sales.weakly",
            "no model 'sales.weakly' in the project; did you mean sales.weekly?",
        ),
        (
            "finance.*",
            None,
            "no model matches 'finance.*' in the project; it has sales.orders, sales.weekly, "
            "web.clicks, web.report, web.sessions",
        ),
        ("tag:ra", None, "no model of the project has the tag 'ra'; did you mean raw?"),
        (
            "tag:core",
            None,
            "no model of the project has the tag 'core'; existing tags: pii:true, raw",
        ),
        ("web.*", "*", "select='web.*', exclude='*' leave no models"),
        ("raw.events", None, "select='raw.events', exclude=None leave no models"),
        ([], None, "select=[], exclude=None leave no models"),
    ],
)
def test_a_selector_without_a_match_is_rejected(
    select: str | list[str], exclude: str | None, line: str
) -> None:
    with pytest.raises(UnknownModelError) as raised:
        asset_models(MODELS, select, exclude)
    assert str(raised.value) == line


def test_an_unknown_tag_in_a_project_without_tags() -> None:
    with pytest.raises(UnknownModelError, match="has the tag 'core'; existing tags: none"):
        asset_models([model("sales.orders")], "tag:core")

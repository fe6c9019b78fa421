"""Forecasts in Markdown: a table by model that fits into a comment."""

from __future__ import annotations

from markdown_it import MarkdownIt

from pytest_sqlmesh_tracker.render.forecasts.markdown import markdown

from .building import DAILY, IRREGULAR, STALE, TOO_LATE, Coming, forecast, shop


def test_models_whose_data_is_older_than_the_gate_allows() -> None:
    lines = markdown(forecast(Coming("a.b", DAILY, stale=(STALE[0], STALE[0], *STALE, STALE[1]))))
    place = lines.index("### Older than the gate allows")
    words = "from 2024-01-06 20:00 to 2024-01-07 02:00"
    line = f"- `a.b`: older than 26 hours {words}, {words}, {words}, and 2 more times"
    assert line in lines[place:]


def test_a_table_by_model_with_remarks_and_assumptions() -> None:
    assert markdown(shop()).splitlines() == [
        "## SQLMesh: forecast",
        "",
        "prod from 2024-01-05 00:05 to 2024-01-08 00:05 UTC: 72 runs evaluate something, models "
        "fail in 2 runs",
        "",
        "4 models evaluated, 1 failing, 2 never evaluated, 1 undetermined",
        "",
        "### Failing",
        "",
        f"- `shop.late`: fails in 2 runs from 2024-01-06 00:00 on, because {TOO_LATE}",
        "",
        "| model | cron | evaluations | first (UTC) | last | failures |",
        "| --- | --- | ---: | --- | --- | ---: |",
        "| `shop.rates` | `seed` | never |  |  |  |",
        "| `shop.clicks` | `@hourly` | 72 | 2024-01-05 01:00 | 2024-01-08 00:00 |  |",
        "| `shop.orders` | `@daily` | 3 | 2024-01-06 00:00 | 2024-01-08 00:00 |  |",
        "| `shop.mirror` | `@daily in Europe/Berlin` | 3 | 2024-01-06 00:00 | 2024-01-08 00:00 "
        "|  |",
        "| `shop.weekly` | `@weekly` | never |  |  |  |",
        "| `shop.late` | `@daily` | 1 | 2024-01-08 00:00 |  | 2 |",
        "| `shop.desk` | `0 8-18 * * *` | undetermined |  |  |  |",
        "",
        "### Undetermined",
        "",
        "- `shop.desk`: SQLMesh takes the cron 0 8-18 `*` `*` `*` to be due at different times",
        "",
        "### Assumptions",
        "",
        "- None.",
        "",
    ]


def test_an_environment_without_models_that_runs_evaluate() -> None:
    assert "|" not in markdown(forecast())


def test_names_are_neither_markdown_nor_html() -> None:
    hostile = "a.`b`|<img src=x>\n# c @someone"
    text = markdown(forecast(Coming(hostile, DAILY, undetermined=f"{IRREGULAR} <b>|</b>")))
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<img" not in html
    assert "<b>" not in html
    assert html.count("<tr>") == 2


def test_a_large_project_fits_into_a_comment() -> None:
    models = [Coming(f"warehouse.model_{number:04}", DAILY) for number in range(2000)]
    text = markdown(forecast(*models))
    assert len(text) <= 65_536
    assert "Left out here: " in text
    assert "### Assumptions" in text

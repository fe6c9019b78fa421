"""Sessions that share a cache of kept templates, and a project with something of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pytest_sqlmesh_tracker import Sandbox, track_all
from pytest_sqlmesh_tracker.sandbox.options import SandboxError, project_options
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from pytest_sqlmesh_tracker.sandbox.templates.inputs.known import Inputs
from pytest_sqlmesh_tracker.sandbox.templates.inputs.recording import Recorder
from pytest_sqlmesh_tracker.sandbox.templates.kept.cache import TemplateCache
from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import Keeper
from pytest_sqlmesh_tracker.sandbox.templates.kept.uses import TemplateUse
from pytest_sqlmesh_tracker.sandbox.templates.template import Template
from tests.projects import Project
from tests.sandbox.building import maker

LIMIT = 2 * 10**9


class _PlansNothing(Keeper):
    def get(self, inputs: Inputs, _: Callable[[Recorder], Template]) -> Template:
        def refuse(_: Recorder) -> Template:
            raise SandboxError("it would be planned")

        return super().get(inputs, refuse)


class Sessions:
    """Sessions one after another, as far as templates are concerned."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        """Use a folder.

        Args:
            arguments: the arguments of the marker in all sessions.
        """
        self.cache = folder / "cache"
        self._folder = folder
        self._arguments = {"at": "2024-01-05 00:05", **arguments}

    @contextmanager
    def template(
        self,
        path: Path | list[Path],
        *,
        config: Any = None,
        setup: Any = None,
        keeper: type[Keeper] = Keeper,
        limit: int = LIMIT,
        replan: bool = False,
        postgres: str | None = None,
        **arguments: Any,
    ) -> Iterator[tuple[Templates, Template, TemplateUse]]:
        """The template of a session, and how it was made."""
        uses: list[TemplateUse] = []
        cache = TemplateCache(self.cache, limit)
        templates = Templates(
            self._folder,
            self._new_folder,
            keeper=keeper(cache, uses=uses, replan=replan),
            postgres=postgres,
        )
        if not callable(setup):
            arguments["setup"], setup = setup, None
        options = project_options({"path": path, **self._arguments, **arguments})
        try:
            yield templates, templates.get(options, config, setup), uses[0]
        finally:
            templates.remove()

    @contextmanager
    def sandbox(
        self, path: Path | list[Path], **options: Any
    ) -> Iterator[tuple[Sandbox, TemplateUse]]:
        """A session with one sandbox, and how its template was made."""
        with self.template(path, **options) as (templates, template, use), track_all() as tracker:
            sandbox = Sandbox(template, maker(templates), tracker)
            try:
                yield sandbox, use
            finally:
                sandbox.close()

    def keep(self, path: Path, **options: Any) -> None:
        """Plan a project and keep the template."""
        with self.template(path, **options) as (_, _, use):
            assert use.planned is None
            assert use.not_kept is None, use.not_kept

    def why_not_kept(self, path: Path, **options: Any) -> str:
        """Plan a project whose template is not kept, and return why."""
        with self.template(path, **options) as (_, _, use):
            assert use.not_kept is not None
            return use.not_kept

    def would_reuse(self, path: Path, **options: Any) -> bool:
        """Whether a session would reuse a template."""
        try:
            with self.template(path, keeper=_PlansNothing, **options) as (_, _, use):
                return use.planned is not None
        except SandboxError as error:
            if "it would be planned" not in str(error):
                raise
            return False

    def _new_folder(self) -> Path:
        # Of sandboxes of killed processes, the folders are still there.
        return Path(mkdtemp(prefix="sandbox", dir=self._folder))


CONFIG = """
gateways:
  local: {connection: {type: duckdb, database: warehouse.duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
variables: {rate: 2}
"""


IN_POSTGRES = """
gateways:
  local:
    connection:
      {type: postgres, host: shop.invalid, port: 5432, user: shop, password: x, database: warehouse}
model_defaults: {dialect: postgres, start: 2024-01-01}
disable_anonymized_analytics: true
variables: {rate: 2}
"""
STATE_IN_POSTGRES = CONFIG.replace(
    "database: warehouse.duckdb}",
    "database: warehouse.duckdb}, state_connection: {type: postgres, host: shop.invalid, "
    "port: 5432, user: shop, password: x, database: states}",
)
CONFIGS = {"duckdb": CONFIG, "postgres": IN_POSTGRES, "state in postgres": STATE_IN_POSTGRES}


def write_shop(folder: Path, engine: str = "duckdb") -> Path:
    """Write a project with macros, signals, seeds, Python, materializations and linter rules."""
    shop = Project(folder)
    linter = "linter: {enabled: true, warn_rules: [hasowner]}"
    shop.write("config.yaml", CONFIGS[engine] + linter)
    shop.write("seeds/prices.csv", "id,price\n1,10\n2,20\n")
    shop.write(
        "models/prices.sql",
        "MODEL (name shop.prices, kind SEED (path '../seeds/prices.csv'))",
    )
    shop.write(
        "macros/prices.py",
        """
        from sqlmesh import macro

        FACTOR = 3

        @macro()
        def with_tax(evaluator, column):
            return f"{column} * {FACTOR}"
        """,
    )
    shop.write(
        "signals/mornings.py",
        """
        from sqlmesh import signal

        @signal()
        def is_there(batch, ready):
            return bool(ready)
        """,
    )
    shop.write(
        "materializations/twice.py",
        """
        from sqlmesh import CustomMaterialization

        class Twice(CustomMaterialization):
            NAME = "twice"

            def insert(self, table_name, query_or_df, *args, **kwargs):
                self.adapter.replace_query(table_name, query_or_df)
        """,
    )
    shop.write(
        "linter/rules.py",
        """
        from sqlmesh.core.linter.rule import Rule

        class HasOwner(Rule):
            \"\"\"Models must have an owner.\"\"\"

            def check_model(self, model):
                return self.violation(f"{model.name} has no owner")
        """,
    )
    shop.write(
        "models/taxed.sql",
        """
        MODEL (name shop.taxed, kind FULL, cron '@daily', audits (not_null(columns := id)));
        SELECT id, @with_tax(price) * @rate AS price FROM shop.prices
        """,
    )
    shop.write(
        "models/days.sql",
        """
        MODEL (
            name shop.days, kind INCREMENTAL_BY_TIME_RANGE (time_column day), cron '@daily',
            signals (is_there(ready := true))
        );
        SELECT CAST(day AS DATE) AS day
        FROM GENERATE_SERIES(@start_dt, @end_dt, INTERVAL '1 day') AS _(day)
        """,
    )
    shop.write(
        "models/doubled.sql",
        """
        MODEL (name shop.doubled, kind CUSTOM (materialization 'twice'), cron '@daily');
        SELECT id, price FROM shop.taxed
        """,
    )
    shop.write("models/shown.sql", "MODEL (name shop.shown, kind VIEW); SELECT * FROM shop.doubled")
    shop.write(
        "models/counted.py",
        """
        import pandas as pd
        from sqlmesh import model

        @model("shop.counted", columns={"n": "int"}, cron="@daily", kind="FULL")
        def counted(context, **kwargs):
            from macros.prices import FACTOR

            table = context.resolve_table("shop.taxed")
            rows = context.fetchdf(f"SELECT count(*) AS n FROM {table}")
            return pd.DataFrame({"n": rows["n"] * FACTOR})
        """,
    )
    return folder

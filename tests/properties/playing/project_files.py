"""The files of a drawn project, and the switches that make its models fail or wait.

All switches are rows of a table in the project's own database, so a copy of it behaves like the
original, and a version that SQLMesh keeps in its state does so as well. What the sandbox injects
is not in the database, and copies are made without it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.engines.engine import ENGINE, ProjectDatabases
from tests.properties.drawing.specs import Model

BEGIN = "2023-12-01"
NO_WAITING = """
run:
  environment_check_interval: 1
  environment_check_max_wait: 1
"""
BEFORE_ALL = """
before_all:
  - >-
    SELECT CASE WHEN EXISTS (SELECT 1 FROM raw.switch WHERE what = 'before_all')
    THEN error('not today') END
"""
SIGNAL = """
from sqlmesh import signal

@signal()
def gate(batch, context, model):
    name = str(model).strip("'")
    adapter = context.engine_adapter
    rows = adapter.fetchall(f"SELECT what FROM raw.switch WHERE model = '{name}'")
    modes = {row[0] for row in rows}
    if "environment" in modes:
        adapter.execute(f"DELETE FROM raw.switch WHERE what = 'environment' AND model = '{name}'")
        ANOTHER_PLAN
    if "raise" in modes:
        raise ValueError("the gate fell on its nose")
    if "none" in modes:
        return False
    if "first" in modes:
        return batch[:1]
    if "rest" in modes:
        return batch[1:]
    return True
"""
AUDITS = """
AUDIT (name {name}, dialect duckdb, blocking {blocking});
SELECT 1 AS one FROM raw.switch WHERE model = @model AND what = '{name}'
"""
PYTHON = """
from sqlmesh import model

@model("{name}", {options})
def execute(context, start, end, execution_time, **kwargs):
    import pandas as pd

    adapter = context.engine_adapter
    rows = adapter.fetchall("SELECT what FROM raw.switch WHERE model = '{name}'")
    modes = {{row[0] for row in rows}}
    if "broken" in modes:
        raise ValueError("boom {name}")
    if "interrupt" in modes:
        raise KeyboardInterrupt
    if "environment" in modes:
        adapter.execute("DELETE FROM raw.switch WHERE what = 'environment' AND model = '{name}'")
        {another_plan}
    return pd.DataFrame({{{columns}}})
"""
FAULT = (
    "CASE WHEN '{name}' IN (SELECT model FROM raw.switch WHERE what = 'broken')"
    " THEN error('boom {name}') END::TEXT AS fault"
)


def config(databases: ProjectDatabases, concurrent_tasks: int, *, before_all: bool) -> str:
    """The text of the project's `config.yaml`."""
    usual = databases.config(start=BEGIN, concurrent_tasks=concurrent_tasks, dialect=ENGINE.dialect)
    return usual + NO_WAITING + (BEFORE_ALL if before_all else "")


def shared_files(databases: ProjectDatabases) -> dict[str, str]:
    """Path in the project → text, of what all drawn projects have."""
    audits = {
        f"audits/{name}.sql": AUDITS.format(name=name, blocking=blocking)
        for name, blocking in (("hard", "true"), ("soft", "false"))
    }
    signal = SIGNAL.replace("ANOTHER_PLAN", _another_plan(databases))
    return {"signals/__init__.py": signal, **audits, "seeds/rows.csv": "id,v\n1,1\n2,2\n"}


def _another_plan(databases: ProjectDatabases) -> str:
    """The code of a project that simulates another plan of its environments."""
    change = "UPDATE sqlmesh._environments SET plan_id = plan_id || 'x'"
    return databases.code_in_state(change, adapter="adapter", indentation=8)


def model_files(models: Iterable[Model], databases: ProjectDatabases) -> dict[str, str]:
    """Path in the project → text, of all models and standalone audits."""
    files: dict[str, str] = {}
    external = []
    for model in models:
        name = model.name.replace(".", "_")
        if model.kind == "external":
            external.append(_external(model))
        elif model.kind == "audit":
            files[f"audits/standalone/{name}.sql"] = _standalone(model)
        elif model.kind == "python":
            files[f"models/{name}.py"] = _python(model, _another_plan(databases))
        else:
            files[f"models/{name}.sql"] = _sql(model)
    return {**files, "external_models.yaml": "".join(external) or "[]\n"}


def source(model: Model) -> str:
    """The raw table that a sourced model reads."""
    return f"raw.src_{model.name.partition('.')[2]}"


def _external(model: Model) -> str:
    lines = [f"- name: {model.name}", "  columns:", "    id: INT"]
    if model.owner:
        lines.append(f"  owner: {model.owner}")
    if model.audits:
        lines.append("  audits:")
        for name, value in model.audit_calls:
            lines.append(f"    - name: {name}\n      model: \"'{value}'\"")
    return "\n".join(lines) + "\n"


def _standalone(model: Model) -> str:
    properties = {"standalone": "true", "dialect": "duckdb", "cron": f"'{model.cron}'"}
    if model.owner:
        properties["owner"] = model.owner
    block = ", ".join(f"{key} {value}" for key, value in {"name": model.name, **properties}.items())
    reads = "".join(f" CROSS JOIN (SELECT COUNT(*) AS n FROM {p})" for p in model.parents)
    query = "SELECT {} AS one FROM (SELECT 1 FROM raw.switch WHERE model = '{}'){}"
    return f"AUDIT ({block});\n{query.format(model.version, model.name, reads)};\n"


def _properties(model: Model) -> dict[str, str]:
    properties = {"cron": f"'{model.cron}'"}
    for key in ("start", "end", "owner"):
        if (value := getattr(model, key)) is not None:
            properties[key] = f"'{value}'" if key != "owner" else value
    if model.kind in ("seed", "embedded"):
        properties.pop("cron")
    if model.allow_partials:
        properties["allow_partials"] = "true"
    if model.gated:
        properties["signals"] = f"(gate(model := '{model.name}'))"
    if model.audits:
        calls = ", ".join(f"{name}(model := '{value}')" for name, value in model.audit_calls)
        properties["audits"] = f"({calls})"
    return properties


def _kind(model: Model) -> str:
    options = [
        f"{key} {str(value).lower()}"
        for key in ("batch_size", "batch_concurrency", "lookback")
        if (value := getattr(model, key)) is not None
    ]
    options += [
        f"{key} true" for key in ("forward_only", "disable_restatement") if getattr(model, key)
    ]
    if model.auto_restatement:
        options.append(f"auto_restatement_cron '{model.auto_restatement}'")
    first = {
        "incremental": "time_column ts",
        "self": "time_column ts",
        "unique": "unique_key id",
        "seed": "path '../seeds/rows.csv'",
    }.get(model.kind)
    options = [first, *options] if first else options
    name = {
        "incremental": "INCREMENTAL_BY_TIME_RANGE",
        "self": "INCREMENTAL_BY_TIME_RANGE",
        "unique": "INCREMENTAL_BY_UNIQUE_KEY",
    }.get(model.kind, model.kind.upper())
    return f"{name} ({', '.join(options)})" if options else name


def _sql(model: Model) -> str:
    properties = {"name": model.name, "kind": _kind(model), **_properties(model)}
    timed = model.kind in ("incremental", "self")
    extras = [f"extra_{number}" for number in range(model.extra)]
    columns = ["ts TIMESTAMP" if timed else "id INT", "v INT", "fault TEXT"]
    if model.kind == "self":
        every = [*columns, *(f"{extra} INT" for extra in extras)]
        properties["columns"] = f"({', '.join(every)})"
    block = ",\n".join(f"  {key} {value}" for key, value in properties.items())
    if model.kind == "seed":
        return f"MODEL (\n{block}\n);\n"
    selected = [
        "@start_dt::TIMESTAMP AS ts" if timed else "1 AS id",
        f"{model.version} AS v",
        FAULT.format(name=model.name),
        *(f"{number} AS {extra}" for number, extra in enumerate(extras)),
    ]
    reads = list(model.parents) + ([source(model)] if model.sourced else [])
    reads += [model.name] if model.kind == "self" else []
    joins = [
        f"LEFT JOIN (SELECT COUNT(*) AS c FROM {read}) AS u{number} ON TRUE"
        for number, read in enumerate(reads)
    ]
    query = f"SELECT {', '.join(selected)}\nFROM (SELECT 1) AS one {' '.join(joins)}"
    return f"MODEL (\n{block}\n);\n\n{query}\n"


def _python(model: Model, another_plan: str) -> str:
    options = ["kind='FULL'", f"cron={model.cron!r}"]
    options += [
        f"{key}={getattr(model, key)!r}" for key in ("start", "end", "owner") if getattr(model, key)
    ]
    names = ["id", "v", *(f"extra_{number}" for number in range(model.extra))]
    options.append(f"columns={dict.fromkeys(names, 'int')!r}")
    options.append(f"depends_on={list(model.parents)!r}")
    if model.audits:
        calls = [f"({name!r}, {{'model': {value!r}}})" for name, value in model.audit_calls]
        options.append(f"audits=[{', '.join(calls)}]")
    if model.gated:
        options.append(f"signals=[('gate', {{'model': {model.name!r}}})]")
    values = {"id": 1, "v": model.version, **dict.fromkeys(names[2:], 0)}
    columns = ", ".join(f'"{name}": [{value}]' for name, value in values.items())
    return PYTHON.format(
        name=model.name, options=", ".join(options), columns=columns, another_plan=another_plan
    )

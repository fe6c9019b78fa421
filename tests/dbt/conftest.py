"""A dbt project with tests of every sort, which fail or pass by what its names say."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = """
from pathlib import Path
from sqlmesh.dbt.loader import sqlmesh_config

config = sqlmesh_config(Path(__file__).parent, disable_anonymized_analytics=True)
"""
FILES = {
    "config.py": CONFIG,
    "profiles.yml": """
shop: {target: dev, outputs: {dev: {type: duckdb, path: warehouse.duckdb}}}
""",
    "dbt_project.yml": """
name: shop
version: '1.0'
profile: shop
models: {+start: 2024-01-01, +materialized: table}
seeds: {+schema: raw}
""",
    "leads.sql": "CREATE SCHEMA crm; CREATE TABLE crm.leads AS SELECT NULL::INT AS id",
    "seeds/customers.csv": "id,name\n1,Ann\n2,Bob\n,Nobody\n",
    "snapshots/names.sql": """
{% snapshot names %}
{{ config(target_schema='main', unique_key='id', strategy='check', check_cols=['name']) }}
select * from {{ ref('customers') }} where id is not null
{% endsnapshot %}
""",
    "models/people.sql": """
{{ config(materialized='view') }}
select id, name from {{ ref('customers') }}
""",
    "models/known.sql": """
{{ config(materialized='ephemeral') }}
select * from {{ ref('people') }} where id is not null
""",
    "models/orders.sql": """
select 1 as id, 1 as customer, 'placed' as status, 10.0 as amount
union all select 2, 9, 'lost', -1
""",
    "models/contracted.sql": """
{{ config(contract={'enforced': true}) }}
select cast(o.id as integer) as id
from {{ ref('orders') }} as o left join {{ ref('known') }} as k on k.id = o.customer
""",
    "models/keyed.sql": """
{{ config(materialized='incremental', unique_key='id') }}
select id, amount from {{ ref('orders') }}
""",
    "models/appended.sql": """
{{ config(materialized='incremental', incremental_strategy='append') }}
select id, amount from {{ ref('orders') }}
""",
    "models/disabled.sql": "{{ config(enabled=false) }} select 1 as id",
    "models/schema.yml": """
version: 2
sources:
  - name: crm
    schema: crm
    tables:
      - name: leads
        columns: [{name: id, data_type: int, data_tests: [not_null, unique]}]
seeds:
  - name: customers
    columns:
      - {name: id, data_tests: [unique, {not_null: {config: {severity: warn}}}]}
snapshots:
  - name: names
    columns: [{name: id, data_tests: [not_null]}]
models:
  - name: people
    columns:
      - {name: id, data_tests: [unique, {not_null: {config: {severity: warn}}}]}
  - name: orders
    columns:
      - name: id
        data_tests:
          - not_null
          - unique: {name: orders_are_told_apart}
      - name: customer
        data_tests:
          - relationships: {to: ref('people'), field: id, config: {severity: warn}}
          - relationships:
              {name: buyers_are_people, to: ref('people'), field: id, config: {severity: warn}}
      - name: status
        data_tests:
          - accepted_values:
              values: [placed, shipped, returned, cancelled, waiting for the payment]
              config: {severity: warn}
      - name: amount
        data_tests:
          - at_least: {least: 0, config: {severity: warn}}
          - at_least: {least: -5}
          - at_least: {name: first_is_big, least: 20, config: {severity: warn, where: "id = 1"}}
          - at_least: {name: never_run, least: 99, config: {enabled: false}}
          - tools.is_even: {name: is_even, config: {severity: warn}}
  - name: contracted
    columns: [{name: id, data_type: integer, data_tests: [not_null]}]
  - name: keyed
    columns: [{name: id, data_tests: [unique]}]
  - name: appended
    columns: [{name: id, data_tests: [not_null]}]
  - name: disabled
    columns: [{name: id, data_tests: [not_null]}]
""",
    "tests/generic/at_least.sql": """
{% test at_least(model, column_name, least) %}
select * from {{ model }} where {{ column_name }} < {{ least }}
{% endtest %}
""",
    "tests/of_one_model.sql": "select * from {{ ref('orders') }} where amount < 0",
    "tests/of_two_models.sql": """
select o.* from {{ ref('orders') }} as o anti join {{ ref('people') }} as p on p.id = o.customer
""",
    "tests/that_warns.sql": """
{{ config(severity='warn') }} select * from {{ ref('orders') }} where amount < 0
""",
    "tests/of_a_source.sql": "select * from {{ source('crm', 'leads') }} where id > 0",
    "tests/of_nothing.sql": "select 1 as n where false",
    "tests/turned_off.sql": "{{ config(enabled=false) }} select 1 as n",
    "dbt_packages/tools/dbt_project.yml": """
name: tools
version: '1.0'
models: {tools: {+materialized: table}}
""",
    "dbt_packages/tools/macros/is_even.sql": """
{% test is_even(model, column_name) %}
select * from {{ model }} where {{ column_name }} % 2 <> 0
{% endtest %}
""",
    "dbt_packages/tools/models/days.sql": "select 1 as day",
    "dbt_packages/tools/models/schema.yml": """
version: 2
models: [{name: days, columns: [{name: day, data_tests: [not_null]}]}]
""",
    "dbt_packages/tools/tests/days_are_days.sql": "select * from {{ ref('days') }} where day > 31",
}


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip("\n"))
    return folder


@pytest.fixture(scope="session")
def every_sort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dbt project with tests of every sort."""
    return write_files(tmp_path_factory.mktemp("every_sort"), FILES)

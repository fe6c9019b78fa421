{{ config(materialized='view') }}

select order_id, cast(ordered_at as date) as day, bean_id, bags, status
from {{ source('web', 'orders') }}

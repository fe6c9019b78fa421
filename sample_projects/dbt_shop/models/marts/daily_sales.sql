{{ config(materialized='incremental', unique_key='day') }}

select day, count(*) as orders, sum(amount) as amount
from {{ ref('order_values') }}
{% if is_incremental() %}
-- SQLMesh needs the name: without, it takes the inner `day` for that of order_values.
where day > (select max(loaded.day) from {{ this }} as loaded)
{% endif %}
group by day

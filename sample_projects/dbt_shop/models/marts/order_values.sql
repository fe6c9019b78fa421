{{ config(materialized='table') }}

select o.order_id, o.day, o.bean_id, o.bags, cast(o.bags * b.price as decimal(10, 2)) as amount
from {{ ref('kept_orders') }} as o
join {{ ref('beans') }} as b using (bean_id)

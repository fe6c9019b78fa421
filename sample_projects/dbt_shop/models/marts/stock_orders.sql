{{ config(materialized='table', contract={'enforced': true}) }}

select cast(b.bean as varchar) as bean, cast(s.bags as integer) as bags
from {{ ref('best_sellers') }} as s
join {{ ref('beans') }} as b using (bean_id)

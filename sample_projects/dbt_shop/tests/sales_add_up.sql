-- Of two models: every order is in the sales of its day.
select v.day
from (select day, sum(amount) as amount from {{ ref('order_values') }} group by day) as v
left join {{ ref('daily_sales') }} as s using (day)
where s.amount is distinct from v.amount

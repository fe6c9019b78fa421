MODEL (
  name reports.revenue_by_country,
  kind FULL,
  cron '@daily',
  owner finance,
  description 'Revenue per country of the customer.',
  grain country
);

SELECT
  customers.country,
  SUM(charges.amount) AS revenue
FROM billing.charges AS charges
JOIN staging.customers AS customers
  ON charges.customer_id = customers.customer_id
GROUP BY
  customers.country

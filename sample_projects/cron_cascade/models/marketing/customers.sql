MODEL (
  name marketing.customers,
  kind FULL,
  cron '@daily',
  owner marketing,
  description 'Everyone who ever visited the shop, with what they bought.',
  grain customer_id,
  audits (
    unique_values(columns := (customer_id))
  )
);

WITH visits AS (
  SELECT
    visitor_id,
    COUNT(*) AS visits,
    MAX(started_at) AS last_visit_at
  FROM web.sessions
  GROUP BY
    1
), purchases AS (
  SELECT
    customer_id,
    COUNT(*) AS orders,
    SUM(amount) AS revenue
  FROM sales.orders
  GROUP BY
    1
)
SELECT
  visits.visitor_id AS customer_id,
  visits.visits,
  visits.last_visit_at,
  COALESCE(purchases.orders, 0) AS orders,
  COALESCE(purchases.revenue, 0) AS revenue
FROM visits
LEFT JOIN purchases
  ON visits.visitor_id = purchases.customer_id

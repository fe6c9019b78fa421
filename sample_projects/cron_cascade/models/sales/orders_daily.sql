MODEL (
  name sales.orders_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column order_date,
    lookback 1
  ),
  cron '@daily',
  owner sales,
  description 'Orders and revenue per product and day. The day before is loaded again: late orders.',
  grain (order_date, product_id)
);

SELECT
  ordered_at::DATE AS order_date,
  product_id,
  COUNT(*) AS orders,
  SUM(amount) AS revenue
FROM sales.orders
WHERE
  ordered_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1,
  2

MODEL (
  name finance.weekly_revenue,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column order_date
  ),
  cron '@weekly',
  owner finance,
  description 'Revenue per day and category, booked once a week, on Sunday.',
  grain (order_date, category)
);

SELECT
  daily.order_date,
  products.category,
  SUM(daily.revenue) AS revenue
FROM sales.orders_daily AS daily
JOIN reference.products AS products
  ON daily.product_id = products.product_id
WHERE
  daily.order_date BETWEEN @start_date AND @end_date
GROUP BY
  1,
  2

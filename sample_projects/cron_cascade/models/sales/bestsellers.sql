MODEL (
  name sales.bestsellers,
  kind VIEW,
  cron '@daily',
  owner merchandising,
  description 'Products by their revenue of the last seven days, for the start page.',
  grain product_id
);

SELECT
  products.product_id,
  products.product_name,
  SUM(daily.revenue) AS revenue
FROM sales.orders_daily AS daily
JOIN reference.products AS products
  ON daily.product_id = products.product_id
WHERE
  daily.order_date > (
    SELECT
      MAX(order_date)
    FROM sales.orders_daily
  ) - INTERVAL '7' DAY
GROUP BY
  1,
  2

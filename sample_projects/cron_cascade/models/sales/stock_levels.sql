MODEL (
  name sales.stock_levels,
  kind FULL,
  cron '0 */6 * * *',
  owner merchandising,
  description 'What is left of each product; purchasing looks at it four times a day.',
  grain product_id
);

SELECT
  products.product_id,
  products.product_name,
  products.opening_stock - COUNT(orders.order_id) AS in_stock
FROM reference.products AS products
LEFT JOIN sales.orders AS orders
  ON products.product_id = orders.product_id
GROUP BY
  1,
  2,
  products.opening_stock

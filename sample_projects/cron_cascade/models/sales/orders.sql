MODEL (
  name sales.orders,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column ordered_at,
    batch_size 24
  ),
  cron '@hourly',
  owner sales,
  description 'One row per purchase, at the price of the assortment. Loaded a day at a time.',
  grain order_id,
  audits (
    unique_values(columns := (order_id)),
    positive_amount
  )
);

SELECT
  EPOCH(views.viewed_at)::BIGINT AS order_id,
  views.viewed_at AS ordered_at,
  views.visitor_id AS customer_id,
  views.product_id,
  products.price AS amount
FROM web.page_views AS views
JOIN reference.products AS products
  ON views.product_id = products.product_id
WHERE
  views.is_checkout AND views.viewed_at BETWEEN @start_ts AND @end_ts

MODEL (
  name web.page_views,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column viewed_at
  ),
  cron '*/30 * * * *',
  owner web_analytics,
  description 'One row per view of a product page.',
  grain (visitor_id, viewed_at),
  column_descriptions (
    is_checkout = 'The view ended in a purchase.'
  ),
  audits (
    not_null(columns := (visitor_id, product_id))
  )
);

/* Stands in for the shop's click stream: a view every two minutes. Visitor 0 buys most often. */
WITH clicks AS (
  SELECT
    viewed_at::TIMESTAMP AS viewed_at,
    (EPOCH(viewed_at) / 120)::INT AS click
  FROM GENERATE_SERIES(@start_ts::TIMESTAMP, @end_ts::TIMESTAMP, INTERVAL '2' MINUTE) AS series(viewed_at)
)
SELECT
  viewed_at,
  click % 97 AS visitor_id,
  1 + click % 8 AS product_id,
  click % (3 + click % 97) = 0 AS is_checkout
FROM clicks

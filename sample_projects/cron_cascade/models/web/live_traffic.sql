MODEL (
  name web.live_traffic,
  kind FULL,
  cron '*/30 * * * *',
  owner web_analytics,
  description 'Views per product in the last loaded hour, for the screen in the office.',
  grain product_id
);

SELECT
  product_id,
  COUNT(*) AS views,
  COUNT(DISTINCT visitor_id) AS visitors
FROM web.page_views
WHERE
  viewed_at > (
    SELECT
      MAX(viewed_at)
    FROM web.page_views
  ) - INTERVAL '1' HOUR
GROUP BY
  product_id

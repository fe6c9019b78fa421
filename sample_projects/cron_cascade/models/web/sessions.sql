MODEL (
  name web.sessions,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column started_at,
    lookback 1
  ),
  cron '@hourly',
  owner web_analytics,
  description 'Visits of one visitor within an hour. The hour before is loaded again: views arrive late.',
  grain (visitor_id, started_at)
);

SELECT
  DATE_TRUNC('hour', viewed_at)::TIMESTAMP AS started_at,
  visitor_id,
  COUNT(*) AS views,
  BOOL_OR(is_checkout) AS has_purchase
FROM web.page_views
WHERE
  viewed_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1,
  2

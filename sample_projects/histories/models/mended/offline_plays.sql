MODEL (
  name mended.offline_plays,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column started_at,
    lookback 7
  ),
  cron '@daily',
  description 'What was watched offline.',
  grain play_id
);

SELECT
  play_id,
  account_id,
  started_at,
  seconds
FROM raw.offline_plays
WHERE
  started_at BETWEEN @start_ts AND @end_ts

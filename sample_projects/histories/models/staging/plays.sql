MODEL (
  name staging.plays,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column started_at
  ),
  cron '@daily',
  description 'What was watched.',
  grain play_id
);

SELECT
  play_id,
  account_id,
  title_id,
  started_at,
  seconds
FROM raw.plays
WHERE
  started_at BETWEEN @start_ts AND @end_ts

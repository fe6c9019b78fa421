MODEL (
  name faulty.watch_time,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    forward_only TRUE
  ),
  cron '@daily',
  description 'How long each title was watched a day.',
  grain (title_id, day)
);

SELECT
  started_at::DATE AS day,
  title_id,
  SUM(seconds)::INT AS seconds,
  COUNT(*)::INT AS plays
FROM raw.plays
WHERE
  started_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1,
  2

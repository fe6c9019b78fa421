MODEL (
  name faulty.local_days,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column local_day
  ),
  cron '@daily',
  description 'How much was watched on each day in Japan, nine hours ahead of UTC.',
  grain local_day
);

SELECT
  (
    started_at + INTERVAL '9' HOUR
  )::DATE AS local_day,
  COUNT(*)::INT AS plays
FROM raw.plays
WHERE
  started_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1

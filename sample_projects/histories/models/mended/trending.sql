MODEL (
  name mended.trending,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day
  ),
  cron '@daily',
  description 'How long each title was watched during a day and the two days before.',
  grain (title_id, day)
);

WITH days AS (
  SELECT
    started_at::DATE AS day,
    title_id,
    SUM(seconds) AS seconds
  FROM raw.plays
  WHERE
    started_at::DATE BETWEEN @start_date - 2 AND @end_date
  GROUP BY
    1,
    2
)
SELECT
  day,
  title_id,
  SUM(seconds) OVER (
    PARTITION BY title_id
    ORDER BY day
    RANGE BETWEEN INTERVAL '2' DAY PRECEDING AND CURRENT ROW
  )::INT AS seconds
FROM days

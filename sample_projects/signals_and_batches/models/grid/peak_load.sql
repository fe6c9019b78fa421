MODEL (
  name grid.peak_load,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    forward_only TRUE
  ),
  cron '@daily',
  owner grid,
  description 'The highest load of each day, as it was reported: a new rule holds from then on.',
  grain day
);

SELECT
  fed_in_at::DATE AS day,
  MAX(kwh / 6) AS kw
FROM grid.feed_in
WHERE
  fed_in_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1

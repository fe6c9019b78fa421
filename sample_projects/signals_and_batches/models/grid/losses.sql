MODEL (
  name grid.losses,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    lookback 2
  ),
  cron '@daily',
  owner grid,
  description 'What was fed in and never counted, per day. Follows what late meters change.',
  grain day
);

WITH counted AS (
  SELECT
    day,
    SUM(kwh) AS kwh
  FROM metering.consumption
  WHERE
    day BETWEEN @start_date AND @end_date
  GROUP BY
    1
), fed_in AS (
  SELECT
    fed_in_at::DATE AS day,
    SUM(kwh) AS kwh
  FROM grid.feed_in
  WHERE
    fed_in_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    1
)
SELECT
  fed_in.day,
  fed_in.kwh - counted.kwh AS kwh
FROM fed_in
JOIN counted
  ON fed_in.day = counted.day

MODEL (
  name metering.consumption,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    lookback 2
  ),
  cron '@daily',
  owner metering,
  description 'Kilowatt-hours per meter and day. It loads again what the readings load again.',
  grain (meter_id, day)
);

SELECT
  read_at::DATE AS day,
  meter_id,
  SUM(kwh) AS kwh
FROM metering.readings
WHERE
  read_at BETWEEN @start_ts AND @end_ts
GROUP BY
  1,
  2

MODEL (
  name metering.meters,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key meter_id
  ),
  cron '@daily',
  owner metering,
  description 'Every meter that has ever counted, and when it last did.',
  grain meter_id
);

SELECT
  meter_id,
  MAX(read_at) AS last_read_at
FROM metering.readings
WHERE
  read_at BETWEEN @start_ts AND @end_ts
GROUP BY
  meter_id

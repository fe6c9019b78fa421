MODEL (
  name metering.readings,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column read_at,
    batch_size 3,
    lookback 2
  ),
  cron '@daily',
  owner metering,
  description 'What meters have counted. Some report late: two days before are loaded again.',
  grain (meter_id, read_at),
  signals (
    delivered(source := 'meters')
  ),
  audits (
    not_negative(measure := kwh),
    accepted_range(column := kwh, max_v := 50, blocking := FALSE)
  )
);

SELECT
  meter_id,
  read_at,
  kwh
FROM raw.readings
WHERE
  read_at BETWEEN @start_ts AND @end_ts

MODEL (
  name metering.silent_meters,
  kind VIEW,
  cron '@daily',
  owner metering,
  description 'Meters that have not counted for a day, for the technicians.',
  grain meter_id
);

SELECT
  meter_id,
  last_read_at
FROM metering.meters
WHERE
  last_read_at < (
    SELECT
      MAX(last_read_at)
    FROM metering.meters
  ) - INTERVAL '1' DAY

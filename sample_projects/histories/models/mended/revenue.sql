MODEL (
  name mended.revenue,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column hour
  ),
  cron '@hourly',
  description 'What was paid in each hour.',
  grain hour
);

SELECT
  DATE_TRUNC('HOUR', paid_at) AS hour,
  SUM(amount)::INT AS amount
FROM raw.payments
WHERE
  paid_at >= @start_ts AND paid_at <= @end_ts
GROUP BY
  1

MODEL (
  name billing.payment_volume,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column paid_on
  ),
  cron '@daily',
  owner billing,
  description 'How many payments came in; does not look at amounts.',
  grain paid_on
);

SELECT
  paid_on,
  COUNT(*) AS payments
FROM staging.payments
WHERE
  paid_on BETWEEN @start_date AND @end_date
GROUP BY
  paid_on

MODEL (
  name billing.charges,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column paid_on,
    batch_size 1
  ),
  cron '@daily',
  owner billing,
  description 'Payments as money. Loaded day by day, so that a bad day does not undo a good one.',
  grain payment_id
);

SELECT
  payment_id,
  customer_id,
  paid_on,
  amount::DECIMAL(10, 2) AS amount
FROM staging.payments
WHERE
  paid_on BETWEEN @start_date AND @end_date

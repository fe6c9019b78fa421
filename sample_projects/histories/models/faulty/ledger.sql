MODEL (
  name faulty.ledger,
  kind INCREMENTAL_UNMANAGED,
  cron '@daily',
  description 'What was paid.',
  grain payment_id
);

SELECT
  payment_id,
  account_id,
  paid_at,
  amount
FROM raw.payments
WHERE
  paid_at BETWEEN @start_ts AND @end_ts

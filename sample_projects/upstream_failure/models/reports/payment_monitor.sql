MODEL (
  name reports.payment_monitor,
  kind VIEW,
  cron '@daily',
  owner billing,
  description 'Days with fewer payments than usual, for the on-call channel.',
  grain paid_on
);

SELECT
  paid_on,
  payments
FROM billing.payment_volume
WHERE
  payments < (
    SELECT
      AVG(payments)
    FROM billing.payment_volume
  )

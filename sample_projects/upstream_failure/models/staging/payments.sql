MODEL (
  name staging.payments,
  kind VIEW,
  cron '@daily',
  owner data_platform,
  description 'Payments as the provider delivers them, amounts still as text.',
  grain payment_id,
  audits (
    not_null(columns := (payment_id, customer_id))
  )
);

SELECT
  payment_id,
  customer_id,
  paid_on,
  TRIM(amount) AS amount
FROM raw.payments

MODEL (
  name staging.customers,
  kind FULL,
  cron '@daily',
  owner data_platform,
  description 'Customers as the CRM delivers them. A customer listed twice would double revenue.',
  grain customer_id,
  audits (
    unique_values(columns := (customer_id))
  )
);

SELECT
  customer_id,
  LOWER(TRIM(email)) AS email,
  country
FROM raw.customers

MODEL (
  name crm.contacts,
  kind FULL,
  cron '@daily',
  owner marketing,
  description 'Whom we can write to. A missing address is a task for support, not a reason to stop.',
  grain customer_id,
  audits (
    not_null(columns := (email), blocking := FALSE)
  )
);

SELECT
  customer_id,
  email
FROM staging.customers

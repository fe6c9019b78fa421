MODEL (
  name reports.newsletter,
  kind FULL,
  cron '@daily',
  owner marketing,
  description 'The addresses that tonight''s newsletter goes to.',
  grain email
);

SELECT
  email
FROM crm.contacts
WHERE
  NOT email IS NULL

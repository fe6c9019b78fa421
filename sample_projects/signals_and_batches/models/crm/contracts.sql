MODEL (
  name crm.contracts,
  kind VIEW,
  cron '@daily',
  owner sales,
  description 'Contracts as the CRM delivers them. A meter of two contracts would be charged twice.',
  grain contract_id,
  audits (
    unique_values(columns := (meter_id))
  )
);

SELECT
  contract_id,
  meter_id,
  tariff_id,
  instalment_cents,
  updated_at
FROM raw.contracts

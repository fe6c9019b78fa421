MODEL (
  name crm.contract_history,
  kind SCD_TYPE_2_BY_TIME (
    unique_key contract_id
  ),
  cron '@daily',
  owner sales,
  description 'Every version of a contract, with the time in which it was valid.',
  grain (contract_id, valid_from)
);

SELECT
  contract_id,
  tariff_id,
  instalment_cents,
  updated_at
FROM crm.contracts

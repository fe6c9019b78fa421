MODEL (
  name billing.balances,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    batch_size 1
  ),
  cron '@daily',
  owner billing,
  description 'What each contract owes: its balance of the day before, a charge, less an instalment.',
  grain (contract_id, day)
);

SELECT
  charges.day::DATE AS day,
  charges.contract_id::INT AS contract_id,
  (
    COALESCE(before.balance, 0) + charges.amount - @euros(contracts.instalment_cents)
  )::DECIMAL(10, 2) AS balance
FROM billing.charges AS charges
JOIN crm.contracts AS contracts
  ON charges.contract_id = contracts.contract_id
LEFT JOIN billing.balances AS before
  ON charges.contract_id = before.contract_id AND charges.day = before.day + 1
WHERE
  charges.day BETWEEN @start_date AND @end_date

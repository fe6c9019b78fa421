MODEL (
  name staging.bank_statements,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column statement_date
  ),
  cron '@daily',
  owner data_platform,
  description 'What the bank says we received, day by day; some days it says so late.',
  grain statement_date,
  signals (
    bank_statement_arrived()
  )
);

SELECT
  statement_date,
  total
FROM raw.bank_statements
WHERE
  statement_date BETWEEN @start_date AND @end_date

MODEL (
  name reports.reconciliation,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column statement_date
  ),
  cron '@daily',
  owner finance,
  description 'The bank''s total of a day beside ours.',
  grain statement_date
);

SELECT
  statements.statement_date,
  statements.total AS received,
  SUM(charges.amount) AS charged
FROM staging.bank_statements AS statements
LEFT JOIN billing.charges AS charges
  ON statements.statement_date = charges.paid_on
WHERE
  statements.statement_date BETWEEN @start_date AND @end_date
GROUP BY
  statements.statement_date,
  statements.total

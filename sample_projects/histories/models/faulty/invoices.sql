MODEL (
  name faulty.invoices,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key invoice_no
  ),
  cron '@daily',
  description 'The invoices of all countries.',
  grain invoice_no
);

SELECT
  country,
  invoice_no,
  issued_on,
  amount
FROM raw.invoices
WHERE
  issued_on BETWEEN @start_date AND @end_date

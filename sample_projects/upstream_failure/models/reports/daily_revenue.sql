MODEL (
  name reports.daily_revenue,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column paid_on
  ),
  cron '@daily',
  owner finance,
  description 'Revenue per day.',
  grain paid_on
);

SELECT
  paid_on,
  SUM(amount) AS revenue
FROM billing.charges
WHERE
  paid_on BETWEEN @start_date AND @end_date
GROUP BY
  paid_on

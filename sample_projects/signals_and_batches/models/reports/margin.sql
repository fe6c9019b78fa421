MODEL (
  name reports.margin,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day
  ),
  cron '@daily',
  owner finance,
  description 'What we charged for a day, less what we paid for its energy.',
  grain day
);

SELECT
  charges.day,
  SUM(charges.amount) - SUM(@euros(charges.kwh * prices.cents_per_kwh)) AS margin
FROM billing.charges AS charges
JOIN market.prices AS prices
  ON charges.day = prices.price_date
WHERE
  charges.day BETWEEN @start_date AND @end_date
GROUP BY
  1

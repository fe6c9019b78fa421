MODEL (
  name market.prices,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column price_date
  ),
  cron '@daily',
  owner trading,
  description 'What a kilowatt-hour cost us at the exchange.',
  grain price_date
);

SELECT
  price_date,
  cents_per_kwh
FROM raw.prices
WHERE
  price_date BETWEEN @start_date AND @end_date

MODEL (
  name billing.charges,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column day,
    batch_size 5
  ),
  cron '@daily',
  owner billing,
  description 'What each contract is charged for a day, once no late meter can change it any more.',
  grain (contract_id, day),
  signals (
    settled(days := 2)
  )
);

SELECT
  consumption.day,
  contracts.contract_id,
  consumption.kwh,
  @euros(consumption.kwh * tariffs.cents_per_kwh + tariffs.cents_per_day) AS amount
FROM metering.consumption AS consumption
JOIN crm.contracts AS contracts
  ON consumption.meter_id = contracts.meter_id
JOIN reference.tariffs AS tariffs
  ON contracts.tariff_id = tariffs.tariff_id
WHERE
  consumption.day BETWEEN @start_date AND @end_date

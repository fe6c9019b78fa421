MODEL (
  name reference.tariffs,
  kind SEED (
    path '../../seeds/tariffs.csv'
  ),
  owner sales,
  description 'What a kilowatt-hour and a day cost, maintained by sales in seeds/tariffs.csv.',
  grain tariff_id,
  columns (
    tariff_id INT,
    tariff_name TEXT,
    cents_per_kwh INT,
    cents_per_day INT
  ),
  audits (
    unique_values(columns := (tariff_id))
  )
);

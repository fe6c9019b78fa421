-- What others deliver: the CRM its contracts, meters their counts, the grid operator what it fed in
-- and the exchange its prices. For each file that has come, raw.deliveries has a row.
CREATE SCHEMA IF NOT EXISTS raw;

CREATE OR REPLACE TABLE raw.contracts (
  contract_id INT, meter_id INT, tariff_id INT, instalment_cents INT, updated_at TIMESTAMP
);

INSERT INTO raw.contracts VALUES
  (1, 101, 1, 300, '2024-04-01'),
  (2, 102, 1, 250, '2024-04-01'),
  (3, 103, 2, 280, '2024-04-15'),
  (4, 104, 3, 900, '2024-04-20');

-- Every meter counts every six hours; the last of them is a bakery's.
CREATE OR REPLACE TABLE raw.readings AS
SELECT
  meter_id,
  TIMESTAMP '2024-05-01' + INTERVAL (quarters.n * 6) HOUR AS read_at,
  CASE WHEN meter_id = 104 THEN 8.0 ELSE 2.0 + (quarters.n % 4) * 0.5 END AS kwh
FROM raw.contracts, range(31 * 4) AS quarters(n);

-- A little more is fed in than is counted: the rest is lost on the way.
CREATE OR REPLACE TABLE raw.feed_in AS
SELECT read_at AS fed_in_at, SUM(kwh) * 1.04 AS kwh
FROM raw.readings
GROUP BY read_at;

CREATE OR REPLACE TABLE raw.prices AS
SELECT DATE '2024-05-01' + days.n::INT AS price_date, 8.0 + days.n % 7 AS cents_per_kwh
FROM range(31) AS days(n);

CREATE OR REPLACE TABLE raw.deliveries AS
SELECT source, DATE '2024-05-01' + days.n::INT AS delivered_for
FROM (VALUES ('meters'), ('grid')) AS sources(source), range(31) AS days(n);

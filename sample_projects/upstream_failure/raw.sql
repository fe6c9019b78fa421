-- What others deliver: the CRM its customers, the provider its payments, the bank its statements.
CREATE SCHEMA IF NOT EXISTS raw;

CREATE OR REPLACE TABLE raw.customers (customer_id INT, email TEXT, country TEXT);

INSERT INTO raw.customers VALUES
  (1, 'ada@example.com', 'GB'),
  (2, 'blaise@example.com', 'FR'),
  (3, 'carl@example.com', 'DE'),
  (4, 'emmy@example.com', 'DE');

-- Every customer pays every day, and the provider sends amounts as text.
CREATE OR REPLACE TABLE raw.payments AS
SELECT
  days.n * 10 + customer_id AS payment_id,
  customer_id,
  DATE '2024-03-01' + days.n::INT AS paid_on,
  (9.50 + customer_id)::TEXT AS amount
FROM raw.customers, range(31) AS days(n);

CREATE OR REPLACE TABLE raw.bank_statements AS
SELECT paid_on AS statement_date, SUM(amount::DECIMAL(10, 2)) AS total
FROM raw.payments
GROUP BY paid_on;

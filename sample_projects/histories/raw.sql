-- Ten days of a streaming service in Japan and Korea. All times are in UTC.
CREATE SCHEMA IF NOT EXISTS raw;

-- Two accounts watch in the morning and in the evening, in Japan the next morning. The export begins
-- with the newest play.
CREATE OR REPLACE TABLE raw.plays AS
SELECT
  (days.n * 4 + account_id * 2 + evening)::INT AS play_id,
  account_id,
  (1 + (days.n + account_id + evening) % 3)::INT AS title_id,
  TIMESTAMP '2024-03-02 08:00' + INTERVAL (days.n * 24 + evening * 12) HOUR AS started_at,
  CASE WHEN days.n % 2 = 0 THEN 3600 ELSE 1200 END AS seconds
FROM range(10) AS days(n), (VALUES (1), (2)) AS accounts(account_id), (VALUES (0), (1)) AS times(evening)
ORDER BY started_at DESC, play_id;

-- What is watched on a journey arrives afterwards: every second play four days later.
CREATE OR REPLACE TABLE raw.offline_plays AS
SELECT
  days.n::INT AS play_id,
  1 AS account_id,
  TIMESTAMP '2024-03-02 12:00' + INTERVAL (days.n) DAY AS started_at,
  600 AS seconds,
  started_at + CASE WHEN days.n % 2 = 1 THEN INTERVAL '4' DAY ELSE INTERVAL '1' HOUR END AS synced_at
FROM range(10) AS days(n);

-- A subscription is renewed at midnight; another account pays by hand.
CREATE OR REPLACE TABLE raw.payments AS
SELECT
  (days.n * 2 + account_id)::INT AS payment_id,
  account_id,
  TIMESTAMP '2024-03-02' + INTERVAL (days.n * 24 + hour) HOUR AS paid_at,
  10 AS amount
FROM range(10) AS days(n), (VALUES (1, 0), (2, 10)) AS payers(account_id, hour);

-- Every day, two subscriptions begin and one ends.
CREATE OR REPLACE TABLE raw.subscriptions AS
SELECT
  (days.n * 2 + number)::INT AS account_id,
  TIMESTAMP '2024-03-02 09:00' + INTERVAL (days.n) DAY AS changed_at,
  change
FROM range(10) AS days(n), (VALUES (1, 1), (2, 1), (0, -1)) AS changes(number, change);

-- Two ratings a day, in the morning and in the evening.
CREATE OR REPLACE TABLE raw.ratings AS
SELECT
  (days.n * 2 + evening)::INT AS rating_id,
  TIMESTAMP '2024-03-02 09:00' + INTERVAL (days.n * 24 + evening * 10) HOUR AS rated_at,
  (1 + (days.n + evening) % 5)::INT AS stars
FROM range(10) AS days(n), (VALUES (0), (1)) AS times(evening);

-- Japan issues two invoices a day, and Korea one.
CREATE OR REPLACE TABLE raw.invoices AS
SELECT
  country,
  (days.n * a_day + number)::INT AS invoice_no,
  DATE '2024-03-02' + days.n::INT AS issued_on,
  10 AS amount
FROM range(10) AS days(n), (VALUES ('JP', 2, 1), ('JP', 2, 2), ('KR', 1, 1)) AS invoices(country, a_day, number);

-- What the web shop delivers: six orders a day, from Friday to Thursday.
CREATE SCHEMA IF NOT EXISTS web;

CREATE OR REPLACE TABLE web.orders AS
SELECT
  row_number() OVER (ORDER BY ordered_at) AS order_id,
  ordered_at,
  1 + (hour(ordered_at) // 4 + day(ordered_at)) % 4 AS bean_id,
  1 + hour(ordered_at) % 3 AS bags,
  CASE WHEN hour(ordered_at) = 20 THEN 'returned' ELSE 'shipped' END AS status
FROM (
  SELECT range AS ordered_at
  FROM range(TIMESTAMP '2024-03-01', TIMESTAMP '2024-03-08', INTERVAL '4 hours')
);

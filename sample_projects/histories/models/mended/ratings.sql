MODEL (
  name mended.ratings,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key day
  ),
  cron '@daily',
  description 'How many ratings were given on each day, and the mean of their stars.',
  grain day
);

SELECT
  rated_at::DATE AS day,
  COUNT(*)::INT AS ratings,
  AVG(stars)::DOUBLE AS stars
FROM raw.ratings
WHERE
  rated_at::DATE BETWEEN @start_date AND @end_date
GROUP BY
  1

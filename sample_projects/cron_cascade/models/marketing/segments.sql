MODEL (
  name marketing.segments,
  kind FULL,
  cron '@weekly',
  owner marketing,
  description 'Who gets which newsletter; newsletters go out on Sunday.',
  grain customer_id,
  audits (
    accepted_values(column := segment, is_in := ('regular', 'occasional', 'visitor'))
  )
);

SELECT
  customer_id,
  CASE WHEN orders >= 10 THEN 'regular' WHEN orders > 0 THEN 'occasional' ELSE 'visitor' END AS segment
FROM marketing.customers

MODEL (
  name grid.feed_in,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column fed_in_at
  ),
  cron '@daily',
  owner grid,
  description 'What went into our part of the grid.',
  grain fed_in_at,
  signals (
    delivered(source := 'grid')
  ),
  audits (
    not_negative(measure := kwh)
  )
);

SELECT
  fed_in_at,
  kwh
FROM raw.feed_in
WHERE
  fed_in_at BETWEEN @start_ts AND @end_ts

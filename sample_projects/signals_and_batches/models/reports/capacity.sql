MODEL (
  name reports.capacity,
  kind FULL,
  cron '@weekly',
  owner grid,
  description 'The highest load per week, for the talk with the grid operator on Monday.',
  grain week
);

SELECT
  DATE_TRUNC('week', day) AS week,
  MAX(kw) AS kw
FROM grid.peak_load
GROUP BY
  1

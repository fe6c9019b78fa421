MODEL (
  name faulty.longest_plays,
  kind FULL,
  cron '@daily',
  description 'The longest play of each account.',
  grain account_id
);

SELECT
  account_id,
  play_id,
  title_id,
  seconds
FROM staging.plays
QUALIFY
  ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY seconds DESC) = 1

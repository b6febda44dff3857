-- One row for each UTC day with a requester: distinct users on it, and in the 7 and 28 days that end with it.
--
-- A user is a requester, service principals included; rows without a requester or a time are left out, unknown and
-- failed ones are not.
CREATE OR REPLACE VIEW {schema}.overview_users_daily (
  day COMMENT 'UTC date.',
  users COMMENT 'Distinct requesters of the day.',
  users_7_days COMMENT 'Distinct requesters of the day and the 6 before it.',
  users_28_days COMMENT 'Distinct requesters of the day and the 27 before it.'
)
COMMENT 'One row for each UTC day with a requester: distinct users on it, and in the 7 and 28 days that end with it. By gateway_batch.'
AS
WITH seen AS (
  SELECT DISTINCT day, requester
  FROM {schema}.usage_cells
  WHERE day IS NOT NULL AND requester IS NOT NULL
),
counted AS (
  SELECT requester, day AS seen_on, explode(sequence(day, date_add(day, 27), INTERVAL 1 DAY)) AS day
  FROM seen
),
last_seen AS (
  SELECT day, requester, max(seen_on) AS seen_on
  FROM counted
  GROUP BY day, requester
)
SELECT
  day,
  count_if(seen_on = day) AS users,
  count_if(seen_on >= date_sub(day, 6)) AS users_7_days,
  count(*) AS users_28_days
FROM last_seen
WHERE day IN (SELECT day FROM seen)
GROUP BY day

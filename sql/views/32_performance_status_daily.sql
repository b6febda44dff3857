-- One row for each UTC day and status code: how invocations ended.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- status_code: HTTP status; NULL for invocations whose status is not known.
-- invocations: Rows of the usage table, of fallbacks and guardrails too.
-- share: Of the day's invocations, 0 to 1.
-- requests: Requests with such an invocation; one may have several statuses.
WITH statuses AS (
  SELECT day, status_code, sum(invocations) AS invocations, count(request_id) AS requests
  FROM (
    SELECT day, status_code, request_id, count(*) AS invocations
    FROM {schema}.usage_invocations
    GROUP BY day, status_code, request_id
  )
  GROUP BY day, status_code
)
SELECT
  day,
  status_code,
  invocations,
  invocations / sum(invocations) OVER (PARTITION BY day) AS share,
  requests
FROM statuses

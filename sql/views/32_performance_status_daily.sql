-- One row for each UTC day and status code: how invocations ended.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- status_code: HTTP status; NULL for invocations whose status is not known.
-- invocations: Rows of the usage table, of fallbacks and guardrails too.
-- share: Of the day's invocations, 0 to 1.
-- requests: Requests with such an invocation; one may have several statuses.
WITH statuses AS (
  SELECT day, status_code, sum(invocations) AS invocations, coalesce(sum(requests), 0) AS requests
  FROM (
    SELECT day, status_code, request_group, max(requests) AS requests, sum(invocations) AS invocations
    FROM {schema}.usage_cells
    GROUP BY day, status_code, request_group
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

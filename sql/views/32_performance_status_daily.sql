-- One row for each UTC day and status code: how invocations ended.
CREATE OR REPLACE VIEW {schema}.performance_status_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  status_code COMMENT 'Final HTTP status; NULL where it is not known.',
  invocations COMMENT 'Rows of the usage table, fallbacks and guardrails included.',
  share COMMENT 'Of the day\'s invocations, 0 to 1.',
  requests COMMENT 'Requests with such an invocation; one may have several statuses.'
)
COMMENT 'One row for each UTC day and status code: how invocations ended. By gateway_batch.'
AS
SELECT
  day,
  status_code,
  invocations,
  invocations / sum(invocations) OVER (PARTITION BY day) AS share,
  requests
FROM (
  WITH requests AS (
    SELECT
      day,
      status_code,
      request_group,
      max(requests) AS requests,
      bool_or(is_failed) AS is_failed,
      bool_or(is_answered) AS is_answered,
      sum(invocations) AS invocations
    FROM {schema}.usage_cells
    GROUP BY day, status_code, request_group
  ),
  counted AS (
    SELECT
      day,
      status_code,
      coalesce(sum(invocations), 0) AS invocations,
      coalesce(sum(requests), 0) AS requests
    FROM requests
    GROUP BY day, status_code
  )
  SELECT
    day,
    status_code,
    invocations,
    requests
  FROM counted
)

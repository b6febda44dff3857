-- One row for each UTC day with calls of MCP servers: requests, error rate, users.
--
-- A call is one of an MCP server by its service_type or, where that is missing, by its mcp_metadata. Such calls have no
-- tokens. The table calls no server external or not but by server_type, a column of mcp_servers_daily.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- requests: Requests, failed and unknown ones included.
-- failed_requests: Of these, with a status of 400 or more; errors inside an answer of 200 are not known here.
-- unknown_requests: Of these, without any status.
-- error_rate: Failed requests by requests; NULL without requests.
-- users: Distinct requesters, service principals included.
-- latency_p50_ms: Milliseconds to the end of the answer, median; NULL where none is known. Exact, but
--   of days from the aggregate within 2% or 1 ms.
-- latency_p95_ms: The same, 95th percentile.
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE is_mcp
),
counted AS (
  SELECT
    day,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests
  FROM (
    SELECT
      day,
      request_group,
      max(requests) AS requests,
      bool_or(is_failed) AS is_failed,
      bool_or(is_answered) AS is_answered
    FROM calls
    GROUP BY day, request_group
  )
  GROUP BY day
),
users AS (
  SELECT
    day,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day
),
latencies AS (
  SELECT
    day,
    percentile(latency_ms, array(0.5, 0.95), invocations) AS latency
  FROM {schema}.usage_distributions
  WHERE is_mcp AND latency_ms IS NOT NULL
  GROUP BY day
)
SELECT
  counted.day,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  users,
  latency[0] AS latency_p50_ms,
  latency[1] AS latency_p95_ms
FROM counted
JOIN users ON counted.day <=> users.day
LEFT JOIN latencies ON counted.day <=> latencies.day

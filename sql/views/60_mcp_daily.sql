-- One row for each UTC day with calls of MCP servers: requests, error rate, users.
--
-- A call is one of an MCP server by its service_type or, where that is missing, by its mcp_metadata. Such calls have no
-- tokens. The table calls no server external or not but by server_type, a column of mcp_servers_daily. Errors inside an
-- answer of status 200 are not known here. Percentiles are exact, but of days from the aggregate within 2% or 1 ms.
CREATE OR REPLACE VIEW {schema}.mcp_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  users COMMENT 'Distinct requesters, service principals included.',
  latency_p50_ms COMMENT 'Milliseconds to the end of the answer, median; NULL where no invocation has a status.',
  latency_p95_ms COMMENT 'Milliseconds to the end of the answer, 95th percentile; NULL where no invocation has a status.'
)
COMMENT 'One row for each UTC day with calls of MCP servers: requests, error rate, users. By gateway_batch.'
AS
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE is_mcp
),
requests AS (
  SELECT
    day,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered
  FROM calls
  GROUP BY day, request_group
),
counted AS (
  SELECT
    day,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests
  FROM requests
  GROUP BY day
),
distinct_values AS (
  SELECT
    day,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day
),
latencies AS (
  SELECT
    day,
    percentile(latency_ms, array(0.5, 0.95), invocations) AS latency_ms
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
  latency_ms[0] AS latency_p50_ms,
  latency_ms[1] AS latency_p95_ms
FROM counted
JOIN distinct_values
  ON counted.day <=> distinct_values.day
LEFT JOIN latencies
  ON counted.day <=> latencies.day

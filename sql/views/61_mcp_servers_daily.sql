-- One row for each UTC day, MCP server, method and tool with calls of MCP servers: requests, error rate, users.
--
-- A call is one of an MCP server by its service_type or, where that is missing, by its mcp_metadata. Such calls have no
-- tokens. The table calls no server external or not but by server_type, a column of mcp_servers_daily.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- endpoint_name: Server as the caller wrote it.
-- mcp_server_type: Kind of server, as the table has it.
-- mcp_method: JSON-RPC method, such as tools/call.
-- mcp_tool: Tool; NULL for other methods.
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
    endpoint_name,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests
  FROM (
    SELECT
      day,
      endpoint_name,
      mcp_server_type,
      mcp_method,
      mcp_tool,
      request_group,
      max(requests) AS requests,
      bool_or(is_failed) AS is_failed,
      bool_or(is_answered) AS is_answered
    FROM calls
    GROUP BY day, endpoint_name, mcp_server_type, mcp_method, mcp_tool, request_group
  )
  GROUP BY day, endpoint_name, mcp_server_type, mcp_method, mcp_tool
),
users AS (
  SELECT
    day,
    endpoint_name,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day, endpoint_name, mcp_server_type, mcp_method, mcp_tool
),
latencies AS (
  SELECT
    day,
    endpoint_name,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    percentile(latency_ms, array(0.5, 0.95), invocations) AS latency
  FROM {schema}.usage_distributions
  WHERE is_mcp AND latency_ms IS NOT NULL
  GROUP BY day, endpoint_name, mcp_server_type, mcp_method, mcp_tool
)
SELECT
  counted.day,
  counted.endpoint_name,
  counted.mcp_server_type,
  counted.mcp_method,
  counted.mcp_tool,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  users,
  latency[0] AS latency_p50_ms,
  latency[1] AS latency_p95_ms
FROM counted
JOIN users
  ON counted.day <=> users.day AND counted.endpoint_name <=> users.endpoint_name
  AND counted.mcp_server_type <=> users.mcp_server_type AND counted.mcp_method <=> users.mcp_method
  AND counted.mcp_tool <=> users.mcp_tool
LEFT JOIN latencies
  ON counted.day <=> latencies.day AND counted.endpoint_name <=> latencies.endpoint_name
  AND counted.mcp_server_type <=> latencies.mcp_server_type AND counted.mcp_method <=> latencies.mcp_method
  AND counted.mcp_tool <=> latencies.mcp_tool

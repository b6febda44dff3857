-- One row for each latency or hour of the day, by UTC day and what the other views tell apart, with its invocations.
--
-- Days that `gateway-batch usage refresh` has put into the aggregate {schema}.usage_daily_distributions are from there,
-- with latencies in buckets: each is within 2% or 1 ms of what it was, and so are percentiles. Later days, else all, are
-- the usage table's rows, and exact. A percentile is percentile(latency_ms, 0.95, invocations), which leaves out rows
-- without a latency.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- weekday: 0 for Monday to 6 for Sunday, UTC.
-- workspace_id: Workspace of the called endpoint.
-- endpoint_name: Endpoint as the caller wrote it.
-- service_name: Three-part name of the service; NULL where a plain endpoint was called.
-- model: Model that answered, as in usage_invocations.
-- destination_type: Pay-per-token, provisioned throughput or external.
-- requester: User or service principal.
-- requester_type: USER, SERVICE_PRINCIPAL or USER_GROUP.
-- api_type: Wire format of the call.
-- source: Where the call came from.
-- request_tags: Tags of the request.
-- status_code: Final HTTP status; NULL where it is not known.
-- coding_agent: As in usage_invocations.
-- is_mcp: Whether it is a call of an MCP server.
-- mcp_server_type: Kind of MCP server.
-- mcp_method: Its JSON-RPC method.
-- mcp_tool: Its tool.
-- latency_ms: Milliseconds to the end of the answer; NULL where there is no status.
-- time_to_first_byte_ms: Milliseconds to its first byte; NULL as latency_ms.
-- hour_of_day: 0 to 23, UTC.
-- invocations: Rows of the usage table with these; of an aggregated day, each counts in one row for each of the three.
SELECT
  day,
  weekday,
  workspace_id,
  endpoint_name,
  service_name,
  model,
  destination_type,
  requester,
  requester_type,
  api_type,
  source,
  request_tags,
  status_code,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  power(1.04D, each.bucket) AS latency_ms,
  CAST(NULL AS DOUBLE) AS time_to_first_byte_ms,
  CAST(NULL AS INT) AS hour_of_day,
  each.invocations
FROM {schema}.usage_daily_distributions
LATERAL VIEW explode(latencies) AS each
WHERE day < DATE'{complete_before}'
UNION ALL
SELECT
  day,
  weekday,
  workspace_id,
  endpoint_name,
  service_name,
  model,
  destination_type,
  requester,
  requester_type,
  api_type,
  source,
  request_tags,
  status_code,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  CAST(NULL AS DOUBLE) AS latency_ms,
  power(1.04D, each.bucket) AS time_to_first_byte_ms,
  CAST(NULL AS INT) AS hour_of_day,
  each.invocations
FROM {schema}.usage_daily_distributions
LATERAL VIEW explode(first_bytes) AS each
WHERE day < DATE'{complete_before}'
UNION ALL
SELECT
  day,
  weekday,
  workspace_id,
  endpoint_name,
  service_name,
  model,
  destination_type,
  requester,
  requester_type,
  api_type,
  source,
  request_tags,
  status_code,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  CAST(NULL AS DOUBLE) AS latency_ms,
  CAST(NULL AS DOUBLE) AS time_to_first_byte_ms,
  each.bucket AS hour_of_day,
  each.invocations
FROM {schema}.usage_daily_distributions
LATERAL VIEW explode(hours) AS each
WHERE day < DATE'{complete_before}'
UNION ALL
SELECT
  day,
  weekday,
  workspace_id,
  endpoint_name,
  service_name,
  model,
  destination_type,
  requester,
  requester_type,
  api_type,
  source,
  request_tags,
  status_code,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  CAST(latency_ms AS DOUBLE) AS latency_ms,
  CAST(time_to_first_byte_ms AS DOUBLE) AS time_to_first_byte_ms,
  hour_of_day,
  1 AS invocations
FROM {schema}.usage_invocations
WHERE event_time >= TIMESTAMP'{complete_before} 00:00:00Z' OR event_time IS NULL

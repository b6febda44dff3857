-- One row for each latency or hour of the day, by UTC day and what the other views tell apart, with its invocations.
--
-- Days that `gateway-batch usage refresh` has put into the aggregate {schema}.usage_daily_distributions are from there,
-- with latencies in buckets: each is within 2% or 1 ms of what it was, and so are percentiles. Later days, else all, are
-- the usage table's rows, and exact. A percentile is percentile(latency_ms, 0.95, invocations), which leaves out rows
-- without a latency.
CREATE OR REPLACE VIEW {schema}.usage_distributions (
  day COMMENT 'UTC date; NULL for rows without a time.',
  weekday COMMENT '0 for Monday to 6 for Sunday, UTC.',
  workspace_id COMMENT 'Workspace of the called endpoint.',
  endpoint_name COMMENT 'Endpoint as the caller wrote it.',
  service_name COMMENT 'Three-part name of the service; NULL where a plain endpoint was called.',
  model COMMENT 'Model that answered, spelled as in usage_invocations; NULL where the call was refused before it was routed, and for tools.',
  destination_type COMMENT 'Pay-per-token, provisioned throughput or external; NULL as for model.',
  requester COMMENT 'User or service principal; NULL where it is not known.',
  requester_type COMMENT 'USER, SERVICE_PRINCIPAL or USER_GROUP.',
  api_type COMMENT 'Wire format of the call.',
  source COMMENT 'Where the call came from: AI_QUERY, EXTERNAL_CLIENT, GUARDRAIL, ...',
  request_tags COMMENT 'Tags of the request.',
  status_code COMMENT 'Final HTTP status; NULL where it is not known.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  is_subagent COMMENT 'Whether it is a call of an agent\'s subagent.',
  agent_framework COMMENT 'Framework that the calling agent is built with, by the User-Agent; NULL where none is known.',
  smart_router COMMENT 'Smart router that chose the model; NULL where none did.',
  is_mcp COMMENT 'Whether it is a call of an MCP server.',
  mcp_server_type COMMENT 'Kind of MCP server.',
  mcp_method COMMENT 'Its JSON-RPC method, such as tools/call.',
  mcp_tool COMMENT 'Its tool; NULL for other methods and other calls.',
  latency_ms COMMENT 'Milliseconds to the end of the answer; NULL where there is no status.',
  time_to_first_byte_ms COMMENT 'Milliseconds to its first byte; NULL as latency_ms.',
  hour_of_day COMMENT '0 to 23, UTC.',
  invocations COMMENT 'Rows of the usage table with these; of an aggregated day, each counts in one row for each of the three.'
)
COMMENT 'One row for each latency or hour of the day, by UTC day and what the other views tell apart, with its invocations. By gateway_batch.'
AS
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
  is_subagent,
  agent_framework,
  smart_router,
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
  is_subagent,
  agent_framework,
  smart_router,
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
  is_subagent,
  agent_framework,
  smart_router,
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
  is_subagent,
  agent_framework,
  smart_router,
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

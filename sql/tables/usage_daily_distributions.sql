CREATE TABLE IF NOT EXISTS {schema}.usage_daily_distributions (
  day DATE COMMENT 'UTC date; NULL for rows without a time.',
  weekday INT COMMENT '0 for Monday to 6 for Sunday, UTC.',
  workspace_id STRING COMMENT 'Workspace of the called endpoint.',
  endpoint_name STRING COMMENT 'Endpoint as the caller wrote it.',
  service_name STRING COMMENT 'Three-part name of the service; NULL where a plain endpoint was called.',
  model STRING COMMENT 'Model that answered, spelled as in usage_invocations; NULL where the call was refused before it was routed, and for tools.',
  destination_type STRING COMMENT 'Pay-per-token, provisioned throughput or external; NULL as for model.',
  requester STRING COMMENT 'User or service principal; NULL where it is not known.',
  requester_type STRING COMMENT 'USER, SERVICE_PRINCIPAL or USER_GROUP.',
  api_type STRING COMMENT 'Wire format of the call.',
  source STRING COMMENT 'Where the call came from: AI_QUERY, EXTERNAL_CLIENT, GUARDRAIL, ...',
  request_tags MAP<STRING, STRING> COMMENT 'Tags of the request.',
  status_code INT COMMENT 'Final HTTP status; NULL where it is not known.',
  coding_agent STRING COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  is_mcp BOOLEAN COMMENT 'Whether it is a call of an MCP server.',
  mcp_server_type STRING COMMENT 'Kind of MCP server.',
  mcp_method STRING COMMENT 'Its JSON-RPC method, such as tools/call.',
  mcp_tool STRING COMMENT 'Its tool; NULL for other methods and other calls.',
  cell BIGINT COMMENT 'Hash of the dimensions, from workspace_id on; NULL for a row of the usage table.',
  invocations BIGINT COMMENT 'Rows of the usage table.',
  latencies ARRAY<STRUCT<bucket: INT, invocations: BIGINT>> COMMENT 'Invocations by latency: bucket b stands for 1.04 ** b milliseconds.',
  first_bytes ARRAY<STRUCT<bucket: INT, invocations: BIGINT>> COMMENT 'The same by time to the first byte.',
  hours ARRAY<STRUCT<bucket: INT, invocations: BIGINT>> COMMENT 'Invocations by hour of the UTC day.'
)
USING DELTA
COMMENT 'Latencies and hours of whole UTC days grouped by what the views tell apart; kept by gateway-batch usage refresh, read through the view usage_distributions. By gateway_batch.'

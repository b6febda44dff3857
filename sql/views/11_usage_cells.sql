-- One row for each group of invocations that no other view tells apart, by UTC day: they read it instead of the rows.
--
-- Days that `gateway-batch usage refresh` has put into the aggregate {schema}.usage_daily are from there, as they were
-- at the last refresh; later ones, else all, are the usage table's rows, one here for each. Either way every figure is
-- exact.
-- The terms are those of usage_invocations.
-- A request group is a number of requests that have an invocation in the same rows: of a later day one request, of an
-- earlier one all that are alike. To count requests for some values, take the largest `requests` of each day and group
-- first, and add these up: so a request counts once on a day, whatever of its rows is left.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
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
-- is_tagged: Whether it has any.
-- status_code: Final HTTP status; NULL where it is not known.
-- is_answered: Whether there is a status.
-- is_failed: Whether it is 400 or more.
-- coding_agent: As in usage_invocations.
-- is_mcp: Whether it is a call of an MCP server.
-- mcp_server_type: Kind of MCP server.
-- mcp_method: Its JSON-RPC method.
-- mcp_tool: Its tool.
-- cell: Hash of what the rows of a day are told apart by, from workspace_id on; NULL for rows of the usage table.
-- request_group: Requests whose invocations fall into the same cells, or the request_id; NULL for a row without one.
-- requests: Requests of the group, the same number in each of its rows.
-- invocations: Rows of the usage table.
-- invocations_with_tokens: Of these, with tokens, so that they cost something.
-- input_tokens: Tokens of prompts, cached ones included; NULL where none are known, as the sums after it.
-- output_tokens: Tokens of answers, reasoning included.
-- total_tokens: Both.
-- cache_read_input_tokens: Input tokens read from the provider's cache.
-- cache_creation_input_tokens: Input tokens written to it.
-- plain_input_tokens: Input tokens that were neither.
-- output_reasoning_tokens: Output tokens of reasoning.
SELECT
  day,
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
  is_tagged,
  status_code,
  is_answered,
  is_failed,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  cell,
  request_group,
  requests,
  invocations,
  invocations_with_tokens,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  cache_creation_input_tokens,
  plain_input_tokens,
  output_reasoning_tokens
FROM {schema}.usage_daily
WHERE day < DATE'{complete_before}'
UNION ALL
SELECT
  day,
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
  is_tagged,
  status_code,
  is_answered,
  is_failed,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  CAST(NULL AS BIGINT) AS cell,
  request_id AS request_group,
  CAST(request_id IS NOT NULL AS BIGINT) AS requests,
  1 AS invocations,
  CAST(has_tokens AS BIGINT) AS invocations_with_tokens,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  cache_creation_input_tokens,
  plain_input_tokens,
  output_reasoning_tokens
FROM {schema}.usage_invocations
WHERE event_time >= TIMESTAMP'{complete_before} 00:00:00Z' OR event_time IS NULL

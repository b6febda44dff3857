-- One row for each UTC day and combination of dimensions: the other views read it instead of the usage table's rows.
--
-- Days that `gateway-batch usage refresh` has put into the aggregate {schema}.usage_daily are from there, as they were
-- at the last refresh; later ones, else all, are the usage table's rows, one here for each. Either way every figure is
-- exact.
-- The terms are those of usage_invocations.
-- A request group is a number of requests that have an invocation in the same rows: of a later day one request, of an
-- earlier one all that are alike. To count requests for some values, take the largest `requests` of each day and group
-- first, and add these up: so a request counts once on a day, whatever of its rows is left.
CREATE OR REPLACE VIEW {schema}.usage_cells (
  day COMMENT 'UTC date; NULL for rows without a time.',
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
  is_tagged COMMENT 'Whether it has any.',
  status_code COMMENT 'Final HTTP status; NULL where it is not known.',
  is_answered COMMENT 'Whether there is a status.',
  is_failed COMMENT 'Whether it is 400 or more.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  is_subagent COMMENT 'Whether it is a call of an agent\'s subagent.',
  agent_framework COMMENT 'Framework that the calling agent is built with, by the User-Agent; NULL where none is known.',
  smart_router COMMENT 'Smart router that chose the model; NULL where none did.',
  is_mcp COMMENT 'Whether it is a call of an MCP server.',
  mcp_server_type COMMENT 'Kind of MCP server.',
  mcp_method COMMENT 'Its JSON-RPC method, such as tools/call.',
  mcp_tool COMMENT 'Its tool; NULL for other methods and other calls.',
  cell COMMENT 'Hash of the dimensions, from workspace_id on; NULL for a row of the usage table.',
  request_group COMMENT 'Requests whose invocations fall into the same cells, or the request_id; NULL for a row without one. The sums of a cell are in the row of those with a single invocation.',
  requests COMMENT 'Requests of the group, the same number in each of its rows.',
  invocations COMMENT 'Rows of the usage table.',
  invocations_with_tokens COMMENT 'Of these, with tokens, so that they cost something.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included; NULL where none are known, as the sums after it.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Both.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache.',
  cache_creation_input_tokens COMMENT 'Input tokens written to it.',
  plain_input_tokens COMMENT 'Input tokens that were neither.',
  output_reasoning_tokens COMMENT 'Output tokens of reasoning.'
)
COMMENT 'One row for each UTC day and combination of dimensions: the other views read it instead of the usage table\'s rows. By gateway_batch.'
AS
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
  is_subagent,
  agent_framework,
  smart_router,
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

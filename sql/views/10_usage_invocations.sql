-- One row for each invocation of a model or tool in the usage table, in the terms of the views on top of it.
--
-- The terms, the same in every view:
-- - A request is a distinct request_id of a UTC day. Fallbacks and guardrails give one request several rows; a row
--   without a request_id is no request, but its tokens count. One with rows on two days counts on both.
-- - A failed request has a row with a status_code of 400 or more, also where a fallback answered it in the end.
-- - An unknown request has no row with a status_code: nobody saw its answer. It is a request, and not a failed one.
-- - The error rate is failed requests by requests.
-- - Tokens are what the table has, NULL counted as 0: failed calls have none. Estimated ones count as reported ones do,
--   as the table does not tell them apart. input_tokens includes what the provider read from its cache.
--   A count above 100,000,000 is taken for unknown: no invocation has so many.
-- - The cache hit ratio is input tokens read from the provider's cache by input tokens.
-- - A latency is one of an invocation that has a status_code, failed ones and guardrails' included.
-- - Days, hours and weekdays are UTC, whatever the session's time zone.
-- - Requests of gateway_batch's own cache were not sent, and are nowhere here.
-- Only columns of Databricks' system.ai_gateway.usage are read.
-- A condition on event_time lets Delta skip files, one on day or hour does not.
CREATE OR REPLACE VIEW {schema}.usage_invocations (
  request_id COMMENT 'The request; several rows may have one.',
  invocation_id COMMENT 'The invocation; unique.',
  event_time COMMENT 'When it was received.',
  day COMMENT 'UTC date of event_time.',
  hour COMMENT 'Begin of its UTC hour.',
  hour_of_day COMMENT '0 to 23, UTC.',
  weekday COMMENT '0 for Monday to 6 for Sunday, UTC.',
  workspace_id COMMENT 'Workspace of the called endpoint.',
  endpoint_name COMMENT 'Endpoint as the caller wrote it.',
  service_name COMMENT 'Three-part name of the service; NULL where a plain endpoint was called.',
  model COMMENT 'Model that answered, in one spelling: small letters, - for blanks, dots and underscores, without Databricks\' prefixes. NULL where the call was refused before it was routed, and for tools.',
  destination_model COMMENT 'The same, as the table spells it.',
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
  latency_ms COMMENT 'Milliseconds to the end of the answer; NULL where there is no status.',
  time_to_first_byte_ms COMMENT 'Milliseconds to its first byte; NULL as latency_ms.',
  input_tokens COMMENT 'Tokens of the prompt, cached ones included; NULL where none are known.',
  output_tokens COMMENT 'Tokens of the answer, reasoning included; NULL where none are known.',
  total_tokens COMMENT 'Both; NULL where none are known.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache; NULL where it reported none.',
  cache_creation_input_tokens COMMENT 'Input tokens written to it; NULL where it reported none.',
  plain_input_tokens COMMENT 'Input tokens that were neither, as they are priced; NULL where no input tokens are known.',
  output_reasoning_tokens COMMENT 'Output tokens of reasoning; NULL where none were reported.',
  has_tokens COMMENT 'Whether any tokens are known, so that it cost something.',
  is_mcp COMMENT 'Whether it is a call of an MCP server.',
  mcp_tool COMMENT 'Its tool; NULL for other methods and other calls.',
  mcp_method COMMENT 'Its JSON-RPC method, such as tools/call.',
  mcp_server_type COMMENT 'Kind of MCP server.',
  coding_agent COMMENT 'By the User-Agent, else by session_metadata: claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  is_subagent COMMENT 'Whether it is a call of an agent\'s subagent.',
  agent_framework COMMENT 'Framework that the calling agent is built with, by the User-Agent; NULL where none is known.',
  smart_router COMMENT 'Smart router that chose the model; NULL where none did.',
  client_session_id COMMENT 'Conversation that the caller says it belongs to.',
  client_subagent_id COMMENT 'Subagent that the caller says made it; NULL for the agent itself and other callers.'
)
COMMENT 'One row for each invocation of a model or tool in the usage table, in the terms of the views on top of it. By gateway_batch.'
AS
SELECT
  request_id,
  invocation_id,
  event_time,
  date_from_unix_date(CAST(floor(unix_seconds(event_time) / 86400) AS INT)) AS day,
  timestamp_seconds(floor(unix_seconds(event_time) / 3600) * 3600) AS hour,
  CAST(pmod(floor(unix_seconds(event_time) / 3600), 24) AS INT) AS hour_of_day,
  CAST(pmod(floor(unix_seconds(event_time) / 86400) + 3, 7) AS INT) AS weekday,
  workspace_id,
  endpoint_name,
  service_name,
  regexp_replace(regexp_replace(lower(trim(destination_model)), '^(system\\.ai\\.)?(databricks-)?', ''), '[ ._]+', '-') AS model,
  destination_model,
  destination_type,
  requester,
  requester_type,
  api_type,
  invocation_metadata.source AS source,
  request_tags,
  coalesce(size(request_tags), 0) > 0 AS is_tagged,
  status_code,
  status_code IS NOT NULL AS is_answered,
  coalesce(status_code >= 400, false) AS is_failed,
  CASE WHEN status_code IS NOT NULL THEN latency_ms END AS latency_ms,
  CASE WHEN status_code IS NOT NULL THEN time_to_first_byte_ms END AS time_to_first_byte_ms,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  cache_creation_input_tokens,
  CASE WHEN input_tokens IS NOT NULL
    THEN greatest(input_tokens - coalesce(cache_read_input_tokens, 0)
      - coalesce(cache_creation_input_tokens, 0), 0) END AS plain_input_tokens,
  output_reasoning_tokens,
  coalesce(input_tokens, output_tokens, total_tokens) IS NOT NULL AS has_tokens,
  coalesce(
    service_type = 'MCP_SERVICE',
    coalesce(mcp_metadata.tool_name, mcp_metadata.json_rpc_method, mcp_metadata.server_type) IS NOT NULL) AS is_mcp,
  mcp_metadata.tool_name AS mcp_tool,
  mcp_metadata.json_rpc_method AS mcp_method,
  mcp_metadata.server_type AS mcp_server_type,
  CASE
    WHEN contains(program, 'codex') THEN 'codex'
    WHEN contains(program, 'claude') THEN 'claude-code'
    WHEN contains(program, 'gemini') THEN 'gemini-cli'
    WHEN contains(program, 'opencode') THEN 'opencode'
    WHEN contains(program, 'cursor') THEN 'cursor'
    ELSE session_metadata.coding_agent
  END AS coding_agent,
  session_metadata.client_subagent_id IS NOT NULL AS is_subagent,
  CASE
    WHEN contains(program, 'databricks-agents') THEN 'databricks-agents'
    WHEN contains(program, 'agents/python') THEN 'openai-agents'
    WHEN contains(program, 'agents/javascript') THEN 'openai-agents'
    WHEN contains(program, 'claude-agent-sdk') THEN 'claude-agent-sdk'
    WHEN contains(program, 'langgraph') THEN 'langgraph'
    WHEN contains(program, 'langchain') THEN 'langchain'
    WHEN contains(program, 'llama-index') THEN 'llama-index'
    WHEN contains(program, 'llama_index') THEN 'llama-index'
    WHEN contains(program, 'llamaindex') THEN 'llama-index'
    WHEN contains(program, 'pydantic-ai') THEN 'pydantic-ai'
    WHEN contains(program, 'pydantic_ai') THEN 'pydantic-ai'
    WHEN contains(program, 'crewai') THEN 'crewai'
    WHEN contains(program, 'autogen') THEN 'autogen'
    WHEN contains(program, 'semantic-kernel') THEN 'semantic-kernel'
    WHEN contains(program, 'strands') THEN 'strands'
    WHEN contains(program, 'google-adk') THEN 'google-adk'
    WHEN contains(program, 'smolagents') THEN 'smolagents'
    WHEN contains(program, 'haystack') THEN 'haystack'
    WHEN contains(program, 'dspy') THEN 'dspy'
    WHEN contains(program, 'mastra') THEN 'mastra'
    WHEN contains(program, 'ai-sdk') THEN 'ai-sdk'
  END AS agent_framework,
  session_metadata.smart_router_name AS smart_router,
  session_metadata.client_session_id AS client_session_id,
  session_metadata.client_subagent_id AS client_subagent_id
FROM (
  SELECT
    CASE WHEN input_tokens BETWEEN 0 AND 100000000 THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND 100000000 THEN output_tokens END AS output_tokens,
    CASE WHEN total_tokens BETWEEN 0 AND 100000000 THEN total_tokens END AS total_tokens,
    CASE WHEN token_details.cache_read_input_tokens BETWEEN 0 AND 100000000 THEN token_details.cache_read_input_tokens END AS cache_read_input_tokens,
    CASE WHEN token_details.cache_creation_input_tokens BETWEEN 0 AND 100000000 THEN token_details.cache_creation_input_tokens END AS cache_creation_input_tokens,
    CASE WHEN token_details.output_reasoning_tokens BETWEEN 0 AND 100000000 THEN token_details.output_reasoning_tokens END AS output_reasoning_tokens,
    lower(user_agent) AS program,
    * EXCEPT (input_tokens, output_tokens, total_tokens)
  FROM {usage_table}
)

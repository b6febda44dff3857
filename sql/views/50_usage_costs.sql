-- One row for each of usage_cells, with what its tokens cost by the table of prices.
--
-- The price is that of the endpoint and model in {schema}.prices, else of the endpoint, else of the model; of several
-- that began, the one that began last. Prices hold for whole UTC days: from that of valid_from on, and before that of
-- valid_to. Providers bill cached input by prices of its own, which are inside input_tokens here; without such prices it
-- costs what input does. Reasoning is output, as providers bill it.
-- cost_usd is NULL, and never 0, where tokens have no price: unpriced_invocations and unpriced_tokens count them.
-- Invocations without tokens (failed, unknown and tools' ones) are not spend: NULL too, but not unpriced.
-- It is an estimate by list prices or your own: not what an invoice says, with its discounts, tiers for long prompts,
-- provisioned throughput and DBUs; and tokens that the gateway estimated are priced as reported ones are.
CREATE OR REPLACE VIEW {schema}.usage_costs (
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
  input_tokens COMMENT 'Tokens of prompts, cached ones included; NULL where none are known, as the sums after it.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Both.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache.',
  price_source COMMENT 'Where the price is from; NULL where there is none.',
  cost_usd COMMENT 'US dollars; NULL where there are no tokens, or no price for them.',
  unpriced_invocations COMMENT 'Invocations with tokens that have no price.',
  unpriced_tokens COMMENT 'Tokens that have no price.'
)
COMMENT 'One row for each of usage_cells, with what its tokens cost by the table of prices. By gateway_batch.'
AS
WITH usage_rows AS (
  SELECT *, invocations_with_tokens > 0 AS has_tokens
  FROM {schema}.usage_cells
),
price_days AS (
  SELECT
    endpoint_name,
    model,
    first_day,
    least(last_day, lead(first_day) OVER (PARTITION BY endpoint_name, model ORDER BY first_day)) AS last_day,
    struct(
      input_usd_per_million AS input,
      output_usd_per_million AS output,
      cache_read_usd_per_million AS cache_read,
      cache_creation_usd_per_million AS cache_creation,
      source AS source) AS price
  FROM (
    SELECT
      *,
      row_number() OVER (
        PARTITION BY endpoint_name, model, first_day
        ORDER BY valid_from DESC NULLS LAST, added_at DESC NULLS LAST) AS newest
    FROM (
      SELECT
        *,
        date_from_unix_date(CAST(floor(unix_seconds(valid_from) / 86400) AS INT)) AS first_day,
        date_from_unix_date(CAST(floor(unix_seconds(valid_to) / 86400) AS INT)) AS last_day
      FROM {schema}.prices
    )
    WHERE last_day IS NULL OR last_day > first_day
  )
  WHERE newest = 1
),
priced AS (
  SELECT
    usage.*,
    coalesce(of_both.price, of_endpoint.price, of_model.price) AS price
  FROM usage_rows AS usage
  LEFT JOIN price_days AS of_both
    ON usage.endpoint_name = of_both.endpoint_name AND usage.model = of_both.model
    AND usage.day >= of_both.first_day AND (of_both.last_day IS NULL OR usage.day < of_both.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
  LEFT JOIN price_days AS of_endpoint
    ON usage.endpoint_name = of_endpoint.endpoint_name AND of_endpoint.model IS NULL
    AND usage.day >= of_endpoint.first_day AND (of_endpoint.last_day IS NULL OR usage.day < of_endpoint.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
  LEFT JOIN price_days AS of_model
    ON of_model.endpoint_name IS NULL AND usage.model = of_model.model
    AND usage.day >= of_model.first_day AND (of_model.last_day IS NULL OR usage.day < of_model.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
),
costs AS (
  SELECT
    *,
    CASE WHEN has_tokens THEN
      CAST(CAST(
        try_cast(coalesce(plain_input_tokens, 0) AS DECIMAL(15, 0)) * price.input
        + try_cast(coalesce(cache_read_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_read, price.input)
        + try_cast(coalesce(cache_creation_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_creation, price.input)
        + try_cast(coalesce(output_tokens, 0) AS DECIMAL(15, 0)) * price.output
        AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12))
    END AS cost_usd
  FROM priced
)
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
  cell,
  request_group,
  requests,
  invocations,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  CASE WHEN has_tokens THEN price.source END AS price_source,
  cost_usd,
  CASE WHEN has_tokens AND cost_usd IS NULL THEN invocations_with_tokens ELSE 0 END AS unpriced_invocations,
  CASE WHEN has_tokens AND cost_usd IS NULL THEN total_tokens ELSE 0 END AS unpriced_tokens
FROM costs

-- What the rows of {cells} cost: those of the view usage_costs, had usage_cells these rows.
WITH usage_rows AS (
  SELECT *, invocations_with_tokens > 0 AS has_tokens
  FROM {cells}
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

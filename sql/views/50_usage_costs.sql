-- One row for each invocation in the usage table, with what its tokens cost by the table of prices.
--
-- The price is that of the endpoint and model in {schema}.prices at event_time, else of the endpoint, else of the model;
-- of several that began, the one that began last. Providers bill cached input by prices of its own, which are inside
-- input_tokens here; without such prices it costs what input does. Reasoning is output, as providers bill it.
-- cost_usd is NULL, and never 0, where tokens have no price: is_unpriced then. Invocations without tokens (failed,
-- unknown and tools' ones) are not spend: NULL too, but not unpriced.
-- It is an estimate by list prices or your own: not what an invoice says, with its discounts, tiers for long prompts,
-- provisioned throughput and DBUs; and tokens that the gateway estimated are priced as reported ones are.
--
-- Columns:
-- request_id: The request; several rows may have one.
-- invocation_id: The invocation; unique.
-- event_time: When it was received.
-- day: UTC date of event_time.
-- hour: Begin of its UTC hour.
-- workspace_id: Workspace of the called endpoint.
-- endpoint_name: Endpoint as the caller wrote it.
-- model: Model that answered, as in usage_invocations.
-- destination_type: Pay-per-token, provisioned throughput or external.
-- requester: User or service principal.
-- source: Where the call came from.
-- request_tags: Tags of the request.
-- is_tagged: Whether it has any.
-- status_code: Final HTTP status; NULL where it is not known.
-- coding_agent: As in usage_invocations.
-- input_tokens: Tokens of the prompt, cached ones included.
-- output_tokens: Tokens of the answer, reasoning included.
-- total_tokens: Both.
-- price_source: Where the price is from; NULL where there is none.
-- cost_usd: US dollars; NULL where there are no tokens, or no price for them.
-- is_unpriced: Whether there are tokens, but no price for them.
WITH prices AS (
  SELECT
    endpoint_name,
    model,
    valid_from,
    least(valid_to, lead(valid_from) OVER (PARTITION BY endpoint_name, model ORDER BY valid_from)) AS valid_to,
    struct(
      input_usd_per_million AS input,
      output_usd_per_million AS output,
      cache_read_usd_per_million AS cache_read,
      cache_creation_usd_per_million AS cache_creation,
      source) AS price
  FROM (
    SELECT *, row_number() OVER (PARTITION BY endpoint_name, model, valid_from ORDER BY added_at DESC) AS newest
    FROM {schema}.prices
    WHERE valid_to IS NULL OR valid_to > valid_from
  )
  WHERE newest = 1
),
priced AS (
  SELECT
    usage.*,
    coalesce(of_both.price, of_endpoint.price, of_model.price) AS price
  FROM {schema}.usage_invocations AS usage
  LEFT JOIN prices AS of_both
    ON usage.endpoint_name = of_both.endpoint_name AND usage.model = of_both.model
    AND usage.event_time >= of_both.valid_from AND (of_both.valid_to IS NULL OR usage.event_time < of_both.valid_to)
  LEFT JOIN prices AS of_endpoint
    ON usage.endpoint_name = of_endpoint.endpoint_name AND of_endpoint.model IS NULL
    AND usage.event_time >= of_endpoint.valid_from
    AND (of_endpoint.valid_to IS NULL OR usage.event_time < of_endpoint.valid_to)
  LEFT JOIN prices AS of_model
    ON of_model.endpoint_name IS NULL AND usage.model = of_model.model
    AND usage.event_time >= of_model.valid_from
    AND (of_model.valid_to IS NULL OR usage.event_time < of_model.valid_to)
),
counted AS (
  SELECT
    *,
    coalesce(input_tokens, output_tokens, total_tokens) IS NOT NULL AS has_tokens,
    try_cast(greatest(
      coalesce(input_tokens, 0) - coalesce(cache_read_input_tokens, 0) - coalesce(cache_creation_input_tokens, 0), 0)
      AS DECIMAL(15, 0)) AS plain,
    try_cast(coalesce(cache_read_input_tokens, 0) AS DECIMAL(15, 0)) AS cache_read,
    try_cast(coalesce(cache_creation_input_tokens, 0) AS DECIMAL(15, 0)) AS cache_creation,
    try_cast(coalesce(output_tokens, 0) AS DECIMAL(15, 0)) AS answered
  FROM priced
),
costs AS (
  SELECT
    *,
    CASE WHEN has_tokens THEN
      CAST(CAST(
        plain * price.input
        + cache_read * coalesce(price.cache_read, price.input)
        + cache_creation * coalesce(price.cache_creation, price.input)
        + answered * price.output AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12))
    END AS cost_usd
  FROM counted
)
SELECT
  request_id,
  invocation_id,
  event_time,
  day,
  hour,
  workspace_id,
  endpoint_name,
  model,
  destination_type,
  requester,
  source,
  request_tags,
  is_tagged,
  status_code,
  coding_agent,
  input_tokens,
  output_tokens,
  total_tokens,
  CASE WHEN has_tokens THEN price.source END AS price_source,
  cost_usd,
  has_tokens AND cost_usd IS NULL AS is_unpriced
FROM costs

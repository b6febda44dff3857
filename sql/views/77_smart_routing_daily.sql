-- One row for each UTC day, smart router, endpoint, and model that it chose: requests, tokens, users, cost.
--
-- The router is session_metadata.smart_router_name. Costs are by the table of prices, see usage_costs.
CREATE OR REPLACE VIEW {schema}.smart_routing_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  smart_router COMMENT 'Smart router that chose the model; NULL where none did.',
  endpoint_name COMMENT 'Endpoint as the caller wrote it.',
  model COMMENT 'Model that answered, spelled as in usage_invocations; NULL where the call was refused before it was routed, and for tools.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.',
  users COMMENT 'Distinct requesters, service principals included.',
  cost_usd COMMENT 'US dollars by the table of prices; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens with a price, by the table of prices; NULL if none has.',
  unpriced_invocations COMMENT 'Invocations whose tokens have no price.',
  unpriced_tokens COMMENT 'Tokens without a price, which are not in the cost.'
)
COMMENT 'One row for each UTC day, smart router, endpoint, and model that it chose: requests, tokens, users, cost. By gateway_batch.'
AS
WITH calls AS (
  SELECT *
  FROM {schema}.usage_costs
  WHERE smart_router IS NOT NULL
),
requests AS (
  SELECT
    day,
    smart_router,
    endpoint_name,
    model,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cost_usd) AS cost_usd,
    sum(unpriced_invocations) AS unpriced_invocations,
    sum(unpriced_tokens) AS unpriced_tokens
  FROM calls
  GROUP BY day, smart_router, endpoint_name, model, request_group
),
counted AS (
  SELECT
    day,
    smart_router,
    endpoint_name,
    model,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
    sum(cost_usd) AS priced_cost_usd,
    coalesce(sum(unpriced_invocations), 0) AS unpriced_invocations,
    coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
  FROM requests
  GROUP BY day, smart_router, endpoint_name, model
),
distinct_values AS (
  SELECT
    day,
    smart_router,
    endpoint_name,
    model,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day, smart_router, endpoint_name, model
)
SELECT
  counted.day,
  counted.smart_router,
  counted.endpoint_name,
  counted.model,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  input_tokens,
  output_tokens,
  total_tokens,
  users,
  cost_usd,
  priced_cost_usd,
  unpriced_invocations,
  unpriced_tokens
FROM counted
JOIN distinct_values
  ON counted.day <=> distinct_values.day
  AND counted.smart_router <=> distinct_values.smart_router
  AND counted.endpoint_name <=> distinct_values.endpoint_name
  AND counted.model <=> distinct_values.model

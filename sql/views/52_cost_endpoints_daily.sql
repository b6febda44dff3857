-- One row for each UTC day and endpoint: what its tokens cost.
--
-- By the table of prices, see usage_costs.
CREATE OR REPLACE VIEW {schema}.cost_endpoints_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  endpoint_name COMMENT 'Endpoint as the caller wrote it.',
  cost_usd COMMENT 'US dollars by the table of prices; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens with a price, by the table of prices; NULL if none has.',
  unpriced_invocations COMMENT 'Invocations whose tokens have no price.',
  unpriced_tokens COMMENT 'Tokens without a price, which are not in the cost.'
)
COMMENT 'One row for each UTC day and endpoint: what its tokens cost. By gateway_batch.'
AS
SELECT
  day,
  endpoint_name,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  coalesce(sum(unpriced_invocations), 0) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM {schema}.usage_costs
GROUP BY day, endpoint_name

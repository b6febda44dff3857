-- One row for each UTC day and requester: what its tokens cost.
--
-- By the table of prices, see usage_costs.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- requester: User or service principal; NULL where it is not known.
-- cost_usd: US dollars; NULL if some of the tokens have no price.
-- priced_cost_usd: US dollars of the tokens that have a price; NULL if none has.
-- unpriced_invocations: Invocations with tokens that have no price.
-- unpriced_tokens: Tokens that have no price.
SELECT
  day,
  requester,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  sum(unpriced_invocations) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM {schema}.usage_costs
GROUP BY day, requester

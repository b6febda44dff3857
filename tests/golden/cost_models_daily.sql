-- One row for each UTC day and model: what its tokens cost.
--
-- By the table of prices, see usage_costs.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- model: Model that answered; NULL where the call was refused before it was routed, and for tools.
-- cost_usd: US dollars; NULL if some of the tokens have no price.
-- priced_cost_usd: US dollars of the tokens that have a price; NULL if none has.
-- unpriced_invocations: Invocations with tokens that have no price.
-- unpriced_tokens: Tokens that have no price.
CREATE OR REPLACE VIEW `main`.`ai_gateway`.`cost_models_daily` (
  day COMMENT 'UTC date; NULL for rows without a time.',
  model COMMENT 'Model that answered; NULL where the call was refused before it was routed, and for tools.',
  cost_usd COMMENT 'US dollars; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens that have a price; NULL if none has.',
  unpriced_invocations COMMENT 'Invocations with tokens that have no price.',
  unpriced_tokens COMMENT 'Tokens that have no price.'
)
COMMENT 'One row for each UTC day and model: what its tokens cost. By gateway_batch.'
AS
SELECT
  day,
  model,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  sum(unpriced_invocations) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM `main`.`ai_gateway`.usage_costs
GROUP BY day, model;

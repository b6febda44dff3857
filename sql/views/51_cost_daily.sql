-- One row for each UTC day: what its tokens cost, and the share of that which carries no request tag.
--
-- By the table of prices, see usage_costs. The table of usage can't tell what an invoice does; on Databricks ask
-- system.billing for that.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- cost_usd: US dollars; NULL if some of the day's tokens have no price.
-- priced_cost_usd: US dollars of the tokens that have a price; NULL if none has.
-- unpriced_invocations: Invocations with tokens that have no price.
-- unpriced_tokens: Tokens that have no price.
-- untagged_cost_usd: Part of priced_cost_usd whose requests carry no tag at all.
-- untagged_share: This by priced_cost_usd; NULL where nothing is priced, or all is free.
SELECT
  day,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  sum(unpriced_invocations) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens,
  CASE WHEN sum(cost_usd) IS NOT NULL THEN coalesce(sum(cost_usd) FILTER (WHERE NOT is_tagged), 0) END
    AS untagged_cost_usd,
  CAST(coalesce(sum(cost_usd) FILTER (WHERE NOT is_tagged), 0) AS DOUBLE) / CAST(nullif(sum(cost_usd), 0) AS DOUBLE)
    AS untagged_share
FROM {schema}.usage_costs
GROUP BY day

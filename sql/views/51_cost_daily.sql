-- One row for each UTC day: what its tokens cost, and the share of that which carries no request tag.
--
-- By the table of prices, see usage_costs. The table of usage can't tell what an invoice does; on Databricks ask
-- system.billing for that.
CREATE OR REPLACE VIEW {schema}.cost_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  cost_usd COMMENT 'US dollars by the table of prices; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens with a price, by the table of prices; NULL if none has.',
  unpriced_invocations COMMENT 'Invocations whose tokens have no price.',
  unpriced_tokens COMMENT 'Tokens without a price, which are not in the cost.',
  untagged_cost_usd COMMENT 'US dollars of requests without a tag; NULL if no tokens have a price.',
  untagged_share COMMENT 'Share of the cost whose requests carry no tag; NULL where nothing is priced, or all is free.'
)
COMMENT 'One row for each UTC day: what its tokens cost, and the share of that which carries no request tag. By gateway_batch.'
AS
SELECT
  day,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  coalesce(sum(unpriced_invocations), 0) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens,
  CASE WHEN count(cost_usd) > 0 THEN coalesce(sum(untagged_cost_usd), 0) END AS untagged_cost_usd,
  CAST(CASE WHEN count(cost_usd) > 0 THEN coalesce(sum(untagged_cost_usd), 0) END AS DOUBLE)
    / CAST(nullif(sum(cost_usd), 0) AS DOUBLE) AS untagged_share
FROM (
  SELECT *, CASE WHEN NOT is_tagged THEN cost_usd END AS untagged_cost_usd
  FROM {schema}.usage_costs
)
GROUP BY day

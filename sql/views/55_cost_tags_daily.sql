-- One row for each UTC day and request tag, key and value: what its tokens cost.
--
-- By the table of prices, see usage_costs. An invocation with several tags counts in a row of each: rows don't add up to
-- a day's total, those of one key and of untagged ones do where each invocation has that key or no tag.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- tag_key: Key of the tag; NULL for invocations without tags.
-- tag_value: Value of the tag.
-- cost_usd: US dollars; NULL if some of the tokens have no price.
-- priced_cost_usd: US dollars of the tokens that have a price; NULL if none has.
-- unpriced_invocations: Invocations with tokens that have no price.
-- unpriced_tokens: Tokens that have no price.
WITH tagged AS (
  SELECT day, tag.key AS tag_key, tag.value AS tag_value, cost_usd, unpriced_invocations, unpriced_tokens
  FROM {schema}.usage_costs
  LATERAL VIEW OUTER explode(map_entries(request_tags)) AS tag
)
SELECT
  day,
  tag_key,
  tag_value,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  sum(unpriced_invocations) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM tagged
GROUP BY day, tag_key, tag_value

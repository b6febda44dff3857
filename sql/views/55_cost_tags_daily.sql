-- One row for each UTC day and request tag, key and value: what its tokens cost.
--
-- By the table of prices, see usage_costs. An invocation with several tags counts in a row of each: rows don't add up to
-- a day's total, those of one key and of untagged ones do where each invocation has that key or no tag.
CREATE OR REPLACE VIEW {schema}.cost_tags_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  tag_key COMMENT 'Key of the tag; NULL for invocations without tags.',
  tag_value COMMENT 'Value of the tag; NULL for invocations without tags.',
  cost_usd COMMENT 'US dollars by the table of prices; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens with a price, by the table of prices; NULL if none has.',
  unpriced_invocations COMMENT 'Invocations whose tokens have no price.',
  unpriced_tokens COMMENT 'Tokens without a price, which are not in the cost.'
)
COMMENT 'One row for each UTC day and request tag, key and value: what its tokens cost. By gateway_batch.'
AS
WITH tagged AS (
  SELECT *, tag.key AS tag_key, tag.value AS tag_value
  FROM {schema}.usage_costs
  LATERAL VIEW OUTER explode(map_entries(request_tags)) AS tag
)
SELECT
  day,
  tag_key,
  tag_value,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  coalesce(sum(unpriced_invocations), 0) AS unpriced_invocations,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM tagged
GROUP BY day, tag_key, tag_value

-- One row for each UTC day, endpoint and requester: a share of what Databricks billed for the endpoint.
--
-- An endpoint's dollars of a day in all workspaces are shared out by the tokens of that day, as a bill does not name request
-- tags, nor always requesters. Tokens of input and output weigh the same. An endpoint that was billed on a day without
-- tokens in the usage table has a row without a requester, with all its dollars. Endpoints are joined by name: one
-- called by a plain name and billed by its service's is not shared out. Of AI functions neither dollars nor
-- tokens are in here: they are billed by compute time, of which tokens say nothing.
CREATE OR REPLACE VIEW {schema}.billing_requesters_daily (
  day COMMENT 'UTC date.',
  endpoint_name COMMENT 'Endpoint.',
  requester COMMENT 'User or service principal; NULL where nobody\'s tokens are known.',
  total_tokens COMMENT 'Tokens of the requester; NULL where nobody\'s are known.',
  token_share COMMENT 'These by all tokens of the day and endpoint.',
  list_usd COMMENT 'That share of the dollars by list price; NULL where these are not known.'
)
COMMENT 'One row for each UTC day, endpoint and requester: a share of what Databricks billed for the endpoint. By gateway_batch.'
AS
WITH tokens AS (
  SELECT day, endpoint_name, requester, sum(total_tokens) AS total_tokens
  FROM {schema}.usage_invocations
  WHERE coalesce(source <> 'AI_FUNCTIONS', true)
  GROUP BY day, endpoint_name, requester
  HAVING sum(total_tokens) > 0
),
shares AS (
  SELECT *, total_tokens / sum(total_tokens) OVER (PARTITION BY day, endpoint_name) AS token_share
  FROM tokens
),
billed AS (
  SELECT day, endpoint_name, CASE WHEN count(list_usd) = count(*) THEN sum(list_usd) END AS list_usd
  FROM {schema}.billing_daily
  WHERE product = 'MODEL_SERVING'
  GROUP BY day, endpoint_name
)
SELECT
  billed.day,
  billed.endpoint_name,
  requester,
  total_tokens,
  coalesce(token_share, 1) AS token_share,
  CAST(CAST(list_usd AS DECIMAL(21, 9)) * CAST(coalesce(token_share, 1) AS DECIMAL(16, 15)) AS DECIMAL(24, 12))
    AS list_usd
FROM billed
LEFT JOIN shares ON billed.day = shares.day AND billed.endpoint_name = shares.endpoint_name

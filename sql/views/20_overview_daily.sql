-- One row for each UTC day: requests, tokens and distinct users.
--
-- A request counts on each day that has a row of it. The terms are those of usage_invocations. Users don't add up over
-- days: see overview_users_daily.
CREATE OR REPLACE VIEW {schema}.overview_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  invocations COMMENT 'Rows of the usage table, fallbacks and guardrails included.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache.',
  cache_hit_ratio COMMENT 'Input tokens read from the provider\'s cache, divided by input tokens; NULL without input tokens.',
  users COMMENT 'Distinct requesters, service principals included.'
)
COMMENT 'One row for each UTC day: requests, tokens and distinct users. By gateway_batch.'
AS
WITH requests AS (
  SELECT
    day,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(invocations) AS invocations,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens
  FROM {schema}.usage_cells
  GROUP BY day, request_group
),
counted AS (
  SELECT
    day,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(invocations), 0) AS invocations,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens
  FROM requests
  GROUP BY day
),
distinct_values AS (
  SELECT
    day,
    count(DISTINCT requester) AS users
  FROM {schema}.usage_cells
  GROUP BY day
)
SELECT
  counted.day,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  invocations,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  cache_read_input_tokens / nullif(input_tokens, 0) AS cache_hit_ratio,
  users
FROM counted
JOIN distinct_values
  ON counted.day <=> distinct_values.day

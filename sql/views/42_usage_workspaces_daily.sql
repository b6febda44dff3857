-- One row for each UTC day and workspace: requests, tokens, cache hit ratio.
--
-- A request counts in each row that has an invocation of it. The terms are those of usage_invocations.
CREATE OR REPLACE VIEW {schema}.usage_workspaces_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  workspace_id COMMENT 'Workspace of the called endpoint.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache.',
  cache_hit_ratio COMMENT 'Input tokens read from the provider\'s cache, divided by input tokens; NULL without input tokens.',
  users COMMENT 'Distinct requesters, service principals included.'
)
COMMENT 'One row for each UTC day and workspace: requests, tokens, cache hit ratio. By gateway_batch.'
AS
WITH requests AS (
  SELECT
    day,
    workspace_id,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens
  FROM {schema}.usage_cells
  GROUP BY day, workspace_id, request_group
),
counted AS (
  SELECT
    day,
    workspace_id,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens
  FROM requests
  GROUP BY day, workspace_id
),
distinct_values AS (
  SELECT
    day,
    workspace_id,
    count(DISTINCT requester) AS users
  FROM {schema}.usage_cells
  GROUP BY day, workspace_id
)
SELECT
  counted.day,
  counted.workspace_id,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_input_tokens,
  cache_read_input_tokens / nullif(input_tokens, 0) AS cache_hit_ratio,
  users
FROM counted
JOIN distinct_values
  ON counted.day <=> distinct_values.day
  AND counted.workspace_id <=> distinct_values.workspace_id

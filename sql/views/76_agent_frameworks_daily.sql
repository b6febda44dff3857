-- One row for each UTC day, framework for agents and model: requests, tokens, users.
--
-- The framework is known by the User-Agent. Agents that send the one of a vendor's SDK are not in here.
CREATE OR REPLACE VIEW {schema}.agent_frameworks_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  agent_framework COMMENT 'Framework that the calling agent is built with, by the User-Agent; NULL where none is known.',
  model COMMENT 'Model that answered, spelled as in usage_invocations; NULL where the call was refused before it was routed, and for tools.',
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
COMMENT 'One row for each UTC day, framework for agents and model: requests, tokens, users. By gateway_batch.'
AS
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE agent_framework IS NOT NULL
),
requests AS (
  SELECT
    day,
    agent_framework,
    model,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens
  FROM calls
  GROUP BY day, agent_framework, model, request_group
),
counted AS (
  SELECT
    day,
    agent_framework,
    model,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens
  FROM requests
  GROUP BY day, agent_framework, model
),
distinct_values AS (
  SELECT
    day,
    agent_framework,
    model,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day, agent_framework, model
)
SELECT
  counted.day,
  counted.agent_framework,
  counted.model,
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
  AND counted.agent_framework <=> distinct_values.agent_framework
  AND counted.model <=> distinct_values.model

-- One row for each UTC day, coding agent, and whether its subagents called: requests, tokens, users.
--
-- A call is a subagent's where the caller says so by session_metadata.client_subagent_id. How many subagents a session
-- had is in coding_agents_sessions.
CREATE OR REPLACE VIEW {schema}.coding_agents_subagents_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  is_subagent COMMENT 'Whether it is a call of an agent\'s subagent.',
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
COMMENT 'One row for each UTC day, coding agent, and whether its subagents called: requests, tokens, users. By gateway_batch.'
AS
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE coding_agent IS NOT NULL
),
requests AS (
  SELECT
    day,
    coding_agent,
    is_subagent,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens
  FROM calls
  GROUP BY day, coding_agent, is_subagent, request_group
),
counted AS (
  SELECT
    day,
    coding_agent,
    is_subagent,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens
  FROM requests
  GROUP BY day, coding_agent, is_subagent
),
distinct_values AS (
  SELECT
    day,
    coding_agent,
    is_subagent,
    count(DISTINCT requester) AS users
  FROM calls
  GROUP BY day, coding_agent, is_subagent
)
SELECT
  counted.day,
  counted.coding_agent,
  counted.is_subagent,
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
  AND counted.coding_agent <=> distinct_values.coding_agent
  AND counted.is_subagent <=> distinct_values.is_subagent

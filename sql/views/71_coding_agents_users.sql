-- One row for each coding agent and requester: active days, requests, tokens.
--
-- An active day is a UTC day with a row of the agent by the requester, failed ones included. Not available, as no usage
-- table has them: commits, lines added and removed, and the coding sessions of the agents' own telemetry.
-- For a part of the time, count days in usage_cells. A request counts on each day that has a row of it.
CREATE OR REPLACE VIEW {schema}.coding_agents_users (
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  requester COMMENT 'User or service principal; NULL where it is not known.',
  active_days COMMENT 'Distinct UTC days with an invocation.',
  first_day COMMENT 'First of these days; NULL where no row has a time.',
  last_day COMMENT 'Last of these days; NULL where no row has a time.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.'
)
COMMENT 'One row for each coding agent and requester: active days, requests, tokens. By gateway_batch.'
AS
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE coding_agent IS NOT NULL
),
requests AS (
  SELECT
    coding_agent,
    requester,
    day,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens
  FROM calls
  GROUP BY coding_agent, requester, day, request_group
),
counted AS (
  SELECT
    coding_agent,
    requester,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens
  FROM requests
  GROUP BY coding_agent, requester
),
distinct_values AS (
  SELECT
    coding_agent,
    requester,
    count(DISTINCT day) AS active_days,
    min(day) AS first_day,
    max(day) AS last_day
  FROM calls
  GROUP BY coding_agent, requester
)
SELECT
  counted.coding_agent,
  counted.requester,
  active_days,
  first_day,
  last_day,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  input_tokens,
  output_tokens,
  total_tokens
FROM counted
JOIN distinct_values
  ON counted.coding_agent <=> distinct_values.coding_agent
  AND counted.requester <=> distinct_values.requester

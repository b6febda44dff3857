-- One row for each coding agent and requester: active days, requests, tokens.
--
-- An active day is a UTC day with a row of the agent by the requester, failed ones included. Not available, as no usage
-- table has them: commits, lines added and removed, and the coding sessions of the agents' own telemetry.
-- For a part of the time, count days in usage_cells. A request counts on each day that has a row of it.
--
-- Columns:
-- coding_agent: claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says.
-- requester: User or service principal; NULL where it is not known.
-- active_days: Distinct UTC days.
-- first_day: First of them.
-- last_day: Last of them.
-- requests: Requests, failed and unknown ones included.
-- failed_requests: Of these, with a status of 400 or more.
-- unknown_requests: Of these, without any status.
-- error_rate: Failed requests by requests; NULL without requests.
-- input_tokens: Tokens of prompts, cached ones included.
-- output_tokens: Tokens of answers, reasoning included.
-- total_tokens: Tokens of both.
WITH calls AS (
  SELECT *
  FROM {schema}.usage_cells
  WHERE coding_agent IS NOT NULL
),
requests AS (
  SELECT
    coding_agent,
    requester,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens
  FROM (
    SELECT
      coding_agent,
      requester,
      request_group,
      max(requests) AS requests,
      bool_or(is_failed) AS is_failed,
      bool_or(is_answered) AS is_answered,
      sum(input_tokens) AS input_tokens,
      sum(output_tokens) AS output_tokens,
      sum(total_tokens) AS total_tokens
    FROM calls
    GROUP BY coding_agent, requester, day, request_group
  )
  GROUP BY coding_agent, requester
),
days AS (
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
  requests.coding_agent,
  requests.requester,
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
FROM requests
JOIN days ON requests.coding_agent <=> days.coding_agent AND requests.requester <=> days.requester

-- One row for each UTC day and session of a coding agent, with the calls that the session has on the day.
--
-- Days that `gateway-batch usage refresh` has put into the aggregate {schema}.usage_daily_sessions are from there, as
-- they were at the last refresh; later ones, else all, are computed from the usage table's rows.
-- A session is what the caller names by session_metadata.client_session_id. Calls of an agent by a requester that name
-- none are one session until 30 minutes pass without another such call, so a day can have several;
-- coding_agents_sessions joins those that go on past midnight.
CREATE OR REPLACE VIEW {schema}.usage_session_parts (
  day COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  requester COMMENT 'User or service principal; NULL where it is not known.',
  client_session_id COMMENT 'Conversation that the caller names; NULL where it names none.',
  started_at COMMENT 'When the first of its calls on the day was received.',
  ended_at COMMENT 'When the last of them was received.',
  invocations COMMENT 'Rows of the usage table.',
  requests COMMENT 'Distinct requests of these.',
  failed_requests COMMENT 'Of these, with an invocation that failed.',
  tokens COMMENT 'Token sums by subagent, endpoint, model, source, and whether any are known.'
)
COMMENT 'One row for each UTC day and session of a coding agent, with the calls that the session has on the day. By gateway_batch.'
AS
WITH calls AS (
  SELECT
    *,
    client_session_id IS NULL AND event_time - lag(event_time) OVER (
      PARTITION BY day, coding_agent, requester, client_session_id
      ORDER BY event_time) > INTERVAL 30 MINUTES AS follows_gap
  FROM {schema}.usage_invocations
  WHERE coding_agent IS NOT NULL
),
calls_of_parts AS (
  SELECT
    *,
    count_if(follows_gap) OVER (PARTITION BY day, coding_agent, requester, client_session_id ORDER BY event_time) AS part
  FROM calls
),
numbered AS (
  SELECT
    *,
    request_id IS NOT NULL AND row_number() OVER (
      PARTITION BY day, coding_agent, requester, client_session_id, part, request_id
      ORDER BY is_failed DESC) = 1 AS is_request
  FROM calls_of_parts
),
entries AS (
  SELECT
    day,
    coding_agent,
    requester,
    client_session_id,
    part,
    client_subagent_id,
    endpoint_name,
    model,
    source,
    has_tokens,
    min(event_time) AS started_at,
    max(event_time) AS ended_at,
    count(*) AS invocations,
    count_if(is_request) AS requests,
    count_if(is_request AND is_failed) AS failed_requests,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
    sum(plain_input_tokens) AS plain_input_tokens
  FROM numbered
  GROUP BY day, coding_agent, requester, client_session_id, part, client_subagent_id, endpoint_name, model, source, has_tokens
)
SELECT
  day,
  coding_agent,
  requester,
  client_session_id,
  min(started_at) AS started_at,
  max(ended_at) AS ended_at,
  sum(invocations) AS invocations,
  sum(requests) AS requests,
  sum(failed_requests) AS failed_requests,
  collect_list(struct(client_subagent_id, endpoint_name, model, source, has_tokens, input_tokens, output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens, plain_input_tokens)) AS tokens
FROM entries
GROUP BY day, coding_agent, requester, client_session_id, part
